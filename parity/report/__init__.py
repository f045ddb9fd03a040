"""Keep what was measured; write the certificate, its page and its pictures."""
