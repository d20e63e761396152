"""Fine-tuning where the model is: jobs of a server that has OpenAI's `/fine_tuning/jobs`.

`chat_examples` words examples as chats, `job_service` speaks to the server, `job_file` remembers in the
workspace what was begun, so that nothing is paid twice, and `hosted_tuner` is the tuner.
"""
