"""Where replies come from: any endpoint that speaks OpenAI's API."""
