"""What the sealed rows say about a model, and what the trials say about the hyperparameters."""
