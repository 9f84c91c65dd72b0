package lost

import "slices"

// rule makes a level of a finding.
type rule struct {
	key    string
	value  Answer
	level  Level
	reason string
}

// rules are the whole table: the highest level of those that hold is suggested, and with
// none of them it is low. An unknown that would matter makes medium at least. A device
// that was in use by a stranger, or could be read by one, makes high.
var rules = []rule{
	{FindDataOpen, Yes, High, "Patient data was open when it went missing."},
	{FindEncrypted, No, High, "It was not encrypted, so that its storage can be read."},
	{FindPasscode, No, High, "It had no passcode."},
	{FindCertificate, Yes, High, "Its app's certificate was used after the device was last seen by a person."},

	{FindUnlocked, Yes, Medium, "It was unlocked when it went missing."},
	{FindUnlocked, Unknown, Medium, "It is not known whether it was unlocked."},
	{FindDataOpen, Unknown, Medium, "It is not known whether patient data was open."},
	{FindEncrypted, Unknown, Medium, "It is not known whether it was encrypted."},
	{FindPasscode, Unknown, Medium, "It is not known whether it had a passcode."},
	{FindComplies, No, Medium, "Its passcode did not comply with the policy."},
	{FindComplies, Unknown, Medium, "It is not known whether its passcode complied with the policy."},
	{FindCertificate, Unknown, Medium, "It is not known whether its app's certificate was used since."},
	{FindExceptions, Yes, Medium, "Exceptions from the policy were in force for it."},
	{FindExceptions, Unknown, Medium, "It is not known whether exceptions from the policy were in force."},
	{FindCompliant, No, Medium, "It did not comply when it was reported."},
	{FindCompliant, Unknown, Medium, "It is not known whether it complied when it was reported."},
	{FindLocked, No, Medium, "It has not accepted a lock so far."},
}

// unlockedAndLoose is the one rule over two findings: a device that was unlocked, and has
// accepted no lock, is as good as open.
const unlockedAndLoose = "It was unlocked when it went missing, and has not accepted a lock so far."

// judge suggests a level for findings, with the reasons for it in words, the gravest
// first. It marks the findings that count against the device.
func judge(all []Finding) (Level, []string) {
	values := make(map[string]Answer, len(all))
	for i, f := range all {
		values[f.Key] = f.Value
		all[i].Bad = slices.ContainsFunc(rules, func(r rule) bool { return r.key == f.Key && r.value == f.Value })
	}
	by := map[Level][]string{}
	if values[FindUnlocked] == Yes && values[FindLocked] != Yes {
		by[High] = append(by[High], unlockedAndLoose)
	}
	for _, r := range rules {
		if values[r.key] == r.value {
			by[r.level] = append(by[r.level], r.reason)
		}
	}
	reasons := append(by[High], by[Medium]...)
	switch {
	case len(by[High]) > 0:
		return High, reasons
	case len(by[Medium]) > 0:
		return Medium, reasons
	}
	return Low, []string{"It was encrypted, had a passcode that complied, was locked, showed no patient data, and has accepted a lock since."}
}
