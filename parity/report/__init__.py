"""What was measured, and how it is shown: claims, the certificate, the table, the page and its pictures."""
