"""The commands of `./tongguan`: start the platform, test it, measure it, check its code."""
