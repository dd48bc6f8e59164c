"""Short scripts that produce compressed variants: ``python -m recipes.NAME --help``. Each has ``--smoke``."""
