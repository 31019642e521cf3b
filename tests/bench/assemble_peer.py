"""Assembles a training set the way XiYan-SQL's published data pipeline does it: for assemble.lua.

    python assemble_peer.py ITEMS_JSON OUT_JSON

Written from a description of that pipeline, with the standard library alone: for each item the schema text is taken apart
and put together again by each of shuffle, filter and permute, the SQL is cleaned by regular expressions, the prompt filled,
and all conversations are dumped at the end.
"""
import json
import random
import re
import sys

PREFIXES = {"Value examples:": 10, "Examples:": 83, "示例值:": 3, "values:": 3, "--": 1}
PROMPT = """你是一名SQLite专家，现在需要阅读并理解下面的【数据库schema】描述，以及可能用到的【参考信息】，并运用SQLite知识生成sql语句回答【用户问题】。
【用户问题】
{question}

【数据库schema】
{schema}

【参考信息】
{evidence}

【用户问题】
{question}

```sql"""


def text_to_dict(text):
    if "【Foreign keys】" not in text:
        text += "\n"
    tables = {}
    for key, body in re.findall(r"# Table: (.+?)\n\[([\s\S]+?)\]\n", text):
        columns = {}
        for line in body.strip().split(",\n"):
            inner = line[line.find("(") + 1 : line.rfind(")")]
            columns[inner.split(",")[0].split(":")[0]] = "(" + inner + ")"
        tables[key] = columns
    keys = []
    if "【Foreign keys】" in text:
        for line in text.split("【Foreign keys】")[-1].strip().split("\n"):
            if line:
                left, right = line.split("=")
                keys.append((left.strip().split("."), right.strip().split(".")))
    return tables, keys


def dict_to_text(name, tables, keys, share):
    prefix = "" if random.random() < share else "  "
    parts = [f"【DB_ID】 {name}\n【Schema】"]
    for key, columns in tables.items():
        if columns:
            lines = ",\n".join(prefix + line for line in columns.values())
            parts.append(f"# Table: {key}\n[\n{lines}\n]")
    parts.append("【Foreign keys】")
    parts.extend(f"{a[0]}.{a[1]} = {b[0]}.{b[1]}" for a, b in keys)
    return "\n".join(parts)


def shuffle(name, text):
    tables, keys = text_to_dict(text)
    order = list(tables)
    if random.random() < 0.5:
        random.shuffle(order)
    result = {}
    for key in order:
        columns = list(tables[key].items())
        if random.random() < 0.3:
            random.shuffle(columns)
        result[key] = dict(columns)
    if random.random() < 0.2:
        random.shuffle(keys)
    return dict_to_text(name, result, keys, 0)


def named(word, sql):
    return re.search(r"\b" + re.escape(word) + r"\b", sql, re.IGNORECASE) is not None


def filter_schema(name, text, sql):
    tables, keys = text_to_dict(text)
    result = {}
    for key, columns in tables.items():
        if named(key.split(",")[0], sql) or random.random() < 0.8:
            result[key] = {c: line for c, line in columns.items() if named(c, sql) or random.random() < 0.7}
    kept = [(a, b) for a, b in keys if a[1] in result.get(a[0], {}) and b[1] in result.get(b[0], {})]
    return dict_to_text(name, result, kept, 0)


def permute(name, text):
    tables, keys = text_to_dict(text)
    prefix = random.choices(list(PREFIXES), weights=list(PREFIXES.values()))[0]
    for columns in tables.values():
        for column, line in columns.items():
            for old in ("Value examples:", "Examples:"):
                if old in line:
                    before, after = line.split(old)
                    columns[column] = f"{before}) -- Value examples:{after[:-1]}" if prefix == "--" else before + prefix + after
                    break
    return dict_to_text(name, tables, keys, 0.5)


def translate(sql):
    if "--" in sql:
        sql = re.sub(r"--.*?(\n|$)", "", sql)
    if sql.count("\n") >= 3:
        sql = re.sub(r"\s+", " ", sql)
    return sql


with open(sys.argv[1], encoding="utf-8") as file:
    items = json.load(file)
records = []
for number, item in enumerate(items):
    name, schema, sql = item["db_name"], item["db_schema"], item["sql"]
    schema = shuffle(name, schema)
    schema = filter_schema(name, schema, sql)
    schema = permute(name, schema)
    sql = translate(sql)
    content = PROMPT.format(question=item["question"], schema=schema.strip(), evidence=item["evidence"])
    talk = [{"role": "user", "content": content}, {"role": "assistant", "content": sql}]
    records.append({"id": number, "conversations": talk, "sql_type": "nl2sqlite"})
with open(sys.argv[2], "w", encoding="utf-8") as file:
    json.dump(records, file, indent=2, ensure_ascii=False)
