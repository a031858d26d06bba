"""One HTTP exchange with one host: transport, retry, redirects, errors."""
