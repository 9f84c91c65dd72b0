package policy

// Steps is steps for tests.
var Steps = steps
