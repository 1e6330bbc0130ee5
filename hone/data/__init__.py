"""Tables: what their columns are, how they are split, prepared and audited. pandas in, no files."""
