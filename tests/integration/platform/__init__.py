"""The whole platform, started once: it ends with the last test here, since this is a package, and does not run beside all tests to come."""
