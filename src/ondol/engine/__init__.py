"""Messages to tokens: llama.cpp in supervised child processes, a remote server, or a script."""
