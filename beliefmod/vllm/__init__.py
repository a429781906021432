"""vLLM as a second engine for questions: answers alone are its; training, scores and drift stay with ours."""
