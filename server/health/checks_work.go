package health

import (
	"strings"
	"time"
)

func auditLog(f Facts, tell say) {
	a := f.Audit
	waits := f.Now.Sub(a.Oldest)
	switch {
	case a.Broken:
		tell(Fault, time.Time{}, "", "/audit/verify", "The audit log can’t be continued: what stands in the database is not what was signed, or the signing key is another.")
	case a.Waiting > 0 && waits > auditFault:
		tell(Fault, a.Oldest, "", "/audit/verify", "%s not in the log’s tree, the oldest since %s.", entries(a.Waiting), date(a.Oldest))
	case a.Waiting > 0 && waits > auditWarn:
		tell(Warning, a.Oldest, "", "/audit/verify", "%s not in the log’s tree, the oldest since %s.", entries(a.Waiting), date(a.Oldest))
	}
}

func verified(f Facts, tell say) {
	a := f.Audit
	switch {
	case a.Verified.IsZero():
		if f.Now.Sub(f.Started) > day {
			tell(Warning, f.Started, "", "/audit/verify", "The audit log was never verified.")
		}
	case !a.Sound:
		tell(Fault, a.Verified, "Keep the database and the last checkpoints as they are: they are evidence. Compare with a checkpoint kept elsewhere: ward audit verify.", "/audit/verify",
			"The audit log is not to be relied on: %s", a.Problem)
	case f.Now.Sub(a.Verified) > verifyWarn:
		tell(Warning, a.Verified, "", "/audit/verify", "The audit log was last verified on %s.", date(a.Verified))
	}
}

func journal(f Facts, tell say) {
	if f.Tampered {
		tell(Fault, time.Time{}, "", "/brake", "The journal of dangerous deeds is not as it was written. Nothing destructive reaches a device until the operator has looked at it.")
	}
}

func holds(f Facts, tell say) {
	for _, h := range f.Holds {
		tell(Warning, h.Since, "", "/brake", "The brake holds %s since %s.", h.What, date(h.Since))
	}
}

func forged(f Facts, tell say) {
	if f.Forged > 0 {
		tell(Fault, time.Time{}, "", "/audit?action=command.withheld", "%s withheld, for nobody ordered it or its seal was broken.", count(f.Forged, "command was", "commands were"))
	}
}

func jobsRun(f Facts, tell say) {
	for _, j := range f.Jobs {
		since := j.Good
		if since.IsZero() {
			since = f.Started
		}
		patience := max(3*j.Every, j.Every+10*time.Minute)
		late := f.Now.Sub(since) > patience
		switch {
		case j.Failed > 0 && late:
			tell(Fault, since, "", "", "The job “%s” fails since %s (%s): %s", j.Name, date(since), count(j.Failed, "time", "times"), sentenceEnd(j.Error))
		case j.Failed > 0:
			tell(Warning, since, "", "", "The job “%s” failed %s: %s", j.Name, count(j.Failed, "time", "times in a row"), sentenceEnd(j.Error))
		case late && j.Running:
			tell(Warning, since, "", "", "The job “%s” has been at work without an end since %s.", j.Name, date(since))
		case late:
			tell(Fault, since, "Restart the server, and tell the maintainers: a job should never stop.", "", "The job “%s” has not run since %s.", j.Name, date(since))
		}
	}
}

// late finds a queue whose oldest has waited for too long.
func late(what string, of func(Facts) Queue, warn, fault time.Duration) func(Facts, say) {
	return func(f Facts, tell say) {
		q := of(f)
		if q.Count == 0 {
			return
		}
		switch waits := f.Now.Sub(q.Oldest); {
		case waits > fault:
			tell(Fault, q.Oldest, "", "", "%d %s, the oldest since %s.", q.Count, what, date(q.Oldest))
		case waits > warn:
			tell(Warning, q.Oldest, "", "", "%d %s, the oldest since %s.", q.Count, what, date(q.Oldest))
		}
	}
}

func notices(f Facts, tell say) {
	n := f.Notices
	switch {
	case !n.Configured && f.Trial:
		tell(Notice, time.Time{}, "", "/notifications", "Nobody is configured to be told of anything: this is a trial.")
	case !n.Configured:
		tell(Warning, time.Time{}, "", "/notifications", "Nobody is configured to be told of lost devices, orders and deadlines.")
	}
	if n.Configured && n.GivenUp > 0 { // to nobody nothing arrives: that is said above
		tell(Fault, time.Time{}, "", "/notifications", "%s in the last seven days did not arrive.", count(n.GivenUp, "message", "messages"))
	}
	if n.Waiting.Count > 0 && f.Now.Sub(n.Waiting.Oldest) > waitingNotice {
		tell(Warning, n.Waiting.Oldest, "", "/notifications", "%s on the way, the oldest since %s.", count(n.Waiting.Count, "message is", "messages are"), date(n.Waiting.Oldest))
	}
}

func approvers(f Facts, tell say) {
	for _, problem := range f.Roots {
		tell(Fault, time.Time{}, "", "/approvers", "%s", problem)
	}
	switch {
	case f.Trial && f.Approvers == 0:
		tell(Notice, time.Time{}, "", "/approvers", "Nobody may approve orders, so that nothing can be erased: this is a trial.")
	case f.Approvers < 2:
		tell(Warning, time.Time{}, "", "/approvers", "%s: no order can be signed by two.", capital(count(f.Approvers, "person may approve", "people may approve")))
	case f.Approvers == 2:
		tell(Notice, time.Time{}, "", "/approvers", "Two people may approve orders. While one is away, nothing can be erased.")
	}
}

func entries(n int) string { return count(n, "entry is", "entries are") }

func sentenceEnd(s string) string {
	s = strings.TrimSpace(s)
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}
