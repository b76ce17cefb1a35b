"""Writes test/golden/chat.json: conversations as transformers renders them with chat templates.

The templates are ours, with the constructs that those of Llama 3, Qwen2.5, Qwen3, SmolLM2, Mistral
and Zephyr use: loops and their variables, namespaces, slices, filters, tests, methods of strings.

    pip install transformers jinja2
    python3 test/golden/make-chat.py
"""

import json
from pathlib import Path

from transformers.utils.chat_template_utils import render_jinja_template

TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
TEMPLATES = {
    # markers around each message, and a system message by default (SmolLM2, Qwen2.5)
    "chatml": """{%- if messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}
{%- endif %}
{% for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}""",
    # headers, trimmed contents, the first message after the bos token (Llama 3)
    "headers": """{% set loop_messages = messages %}{% for message in loop_messages %}
{% set content = '<|start|>' + message['role'] + '<|end|>\\n\\n' + message['content'] | trim + '<|eot|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}
{% if add_generation_prompt %}{{ '<|start|>assistant<|end|>\\n\\n' }}{% endif %}""",
    # the system message in the first of the user's, alternating roles (Llama 2, Mistral)
    "inst": """{%- if messages[0]["role"] == "system" %}
{%- set system_message = messages[0]["content"] %}
{%- set loop_messages = messages[1:] %}
{%- else %}{%- set loop_messages = messages %}{%- endif %}
{%- set ns = namespace(index=0) %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
        {{- raise_exception("roles must alternate") }}
    {%- endif %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " ~ message["content"] ~ "[/INST]" }}
        {%- endif %}
    {%- else %}
        {{- " " + message.content.strip() + eos_token }}
    {%- endif %}
    {%- set ns.index = ns.index + 1 %}
{%- endfor %}""",
    # thoughts removed from earlier answers (Qwen3)
    "thoughts": """{%- for message in messages %}
{%- if message.role == "assistant" and "</think>" in message.content %}
{%- set content = message.content.split("</think>")[-1].lstrip("\\n") %}
{%- else %}{%- set content = message.content %}{%- endif %}
{%- if message.content is string and not (loop.first and message.role == "system") %}
{{- message.role | upper + ": " + content + ("\\n" if not loop.last else "") }}
{%- elif tools %}{{ tools | tojson }}{%- else %}{{- "(" ~ content ~ ")\\n" }}{%- endif %}
{%- endfor %}
{%- if enable_thinking is defined and enable_thinking is false %}{{- "\\nno" }}{%- endif %}""",
}
QUESTION = {"role": "user", "content": "What is 2 + 2? "}
ANSWER = {"role": "assistant", "content": "<think>easy</think>\n\nFour; “4”. "}
CONVERSATIONS = [
    [QUESTION],
    [{"role": "system", "content": "Answer like a pirate."}, QUESTION],
    [QUESTION, ANSWER, {"role": "user", "content": "Why?\n  Explain {{ it }} 🙂"}],
]


def render(template, messages):
    rendered, _ = render_jinja_template(
        [messages], chat_template=template, add_generation_prompt=True, **TOKENS
    )
    return rendered[0]


cases = [
    {
        "name": name,
        "template": template,
        "conversations": [
            {"messages": messages, "text": render(template, messages)}
            for messages in CONVERSATIONS
        ],
    }
    for name, template in TEMPLATES.items()
]
out = Path(__file__).parent / "chat.json"
out.write_text(json.dumps({"tokens": TOKENS, "cases": cases}, ensure_ascii=False, indent=1) + "\n")
