"""OpenAI's HTTP interface over durable turns: what a tool that speaks it starts here cannot be lost either."""
