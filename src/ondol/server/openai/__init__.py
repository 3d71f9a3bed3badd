"""OpenAI's dialect: chats, completions, embeddings, reranking, transcriptions."""
