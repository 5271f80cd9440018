"""The whole system on one machine: what `headhunter up` starts, watches and stops."""
