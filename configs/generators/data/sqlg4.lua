-- Data of sqlg4: what assemble wrote. multi_task: SQL, questions, evidence and refinement; complex, standard: the
-- reformulated SQL of hard questions. The paper gives no shares: each set comes once an epoch.
return {
  { path = "run/generators/multi_task.json", weight = 1 },
  { path = "run/generators/complex.json", weight = 1 },
  { path = "run/generators/standard.json", weight = 1 },
}
