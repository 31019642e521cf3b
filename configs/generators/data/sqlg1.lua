-- Data of sqlg1: what assemble wrote. multi_task: SQL, questions, evidence and refinement; complex, standard: the
-- reformulated SQL of hard questions. The paper gives no shares: each set comes once an epoch.
return {
  { path = "run/generators/multi_task.json", weight = 1 },
}
