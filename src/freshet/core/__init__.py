"""What everything else is written in: types, ports, errors, configuration, prompts."""
