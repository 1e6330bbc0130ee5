from collections.abc import Mapping

from hone.trial import Config

PORTFOLIOS: Mapping[str, tuple[Config, ...]] = {}
