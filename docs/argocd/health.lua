-- Health of a SplitTrainingJob for Argo CD: the value of
-- resource.customizations.health.pslgs.dev_SplitTrainingJob in the ConfigMap argocd-cm.
local health = { status = "Progressing", message = "the operator has not seen this generation yet" }
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end
local conditions = {}
for _, condition in ipairs(obj.status.conditions) do
  conditions[condition.type] = condition
end
local order = {
  { "Stalled", "Degraded" },
  { "Complete", "Healthy" },
  { "Suspended", "Suspended" },
  { "Degraded", "Degraded" },
}
for _, rule in ipairs(order) do
  local condition = conditions[rule[1]]
  if condition ~= nil and condition.status == "True" then
    return { status = rule[2], message = condition.message }
  end
end
if conditions.Ready ~= nil then
  health.message = conditions.Ready.message
end
return health
