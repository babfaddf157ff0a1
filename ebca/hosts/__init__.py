"""Host adapters: each module knows one host, and no formula."""
