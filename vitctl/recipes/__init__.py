"""Published recipes as TOML, and how one becomes the settings of a run."""
