-- The Chinese prompt for Cypher. Heading, expert (Neo4j) and fence are those of XiYan-SQL's released code; the
-- sentence is sqlune's own, after nl2sql_zh.lua. item: question, evidence, schema (of the graph). A copy is a
-- prompt of your own.
return function(item)
  return ([[
你是一名Neo4j专家，现在需要阅读并理解下面的【图数据库schema】描述，以及可能用到的【参考信息】，并运用Neo4j知识生成cypher语句回答【用户问题】。
【用户问题】
{question}

【图数据库schema】
{schema}

【参考信息】
{evidence}

【用户问题】
{question}

```cypher]]):gsub("{(%a+)}", item)
end
