"""Read and write files of weights and of audio; load, convert and store frontends."""
