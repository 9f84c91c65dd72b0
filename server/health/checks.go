package health

import (
	"fmt"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Limits by which measurements are judged.
const (
	expiresSoon   = 30 * day
	expiresFault  = 7 * day
	renewsLate    = 7 * day
	tokenSoon     = 14 * day
	backupWarn    = 2 * day
	backupFault   = 7 * day
	diskWarn      = 0.15 // of the whole
	diskFault     = 0.05
	diskLeast     = 2 << 30
	slowWarn      = 250 * time.Millisecond
	slowFault     = 2 * time.Second
	clockWarn     = 5 * time.Second
	auditWarn     = time.Minute
	auditFault    = 15 * time.Minute
	verifyWarn    = 3 * day
	sqliteLarge   = 20 << 30
	waitingNotice = 30 * time.Minute
)

// checks is the catalogue.
func checks() []check {
	out := []check{
		{Kind{"certificate-ends", "Certificates", "Apple’s push certificate, the authority’s own and the server’s", "Renew it before it ends."}, certificates},
		{Kind{"push-certificate", "Push certificate", "whether devices can be woken at all", "Get one: ward apns request, then upload it at Apple’s site, then ward apns import."}, push},
		{Kind{"token-ends", "API tokens", "tokens of programs that end soon", "Make a new token and give it to the program before the old one ends."}, tokens},
		{Kind{"backup-old", "Backup", "when the last backup was made", "Run ward backup, keep the file on another machine, and have a timer run it every day."}, backup},
		{Kind{"disk-full", "Disk", "the space where the data stands", "Make room or enlarge the disk. A full disk stops every deed."}, disk},
		{Kind{"database-slow", "Database", "whether it answers, how fast, and how large it is", "See the load of the machine and the disk; for many devices use PostgreSQL."}, database},
	}
	return append(append(out, recordChecks()...), workChecks()...)
}

// recordChecks look at the audit log and the brake.
func recordChecks() []check {
	return []check{
		{Kind{"audit-broken", "Audit log", "whether entries get into the log’s tree", "Read the server’s log. Change nothing in the database: it is evidence."}, auditLog},
		{Kind{"audit-unverified", "Verification of the audit log", "the nightly check that the whole log is unaltered", "Run it now on the page of the audit log."}, verified},
		{Kind{"brake-tampered", "Brake’s journal", "whether it is as it was written", "Let nobody approve anything. Read what ward brake says on the server, then ward brake reset."}, journal},
		{Kind{"brake-holds", "Brake", "what is held because it came too fast", "Find out who asked for so much. Two people release it."}, holds},
		{Kind{"command-forged", "Command queue", "commands that nobody ordered", "Somebody may be able to write to the database. Look for who can, and read the audit log."}, forged},
	}
}

// workChecks look at what the server does by itself.
func workChecks() []check {
	return []check{
		{Kind{"job-failing", "The server’s own work", "whether each of its jobs runs and goes well", "The server’s log says what went wrong, under jobs."}, jobsRun},
		{Kind{"push-late", "Pushes", "pushes that are owed for too long", "See that the server reaches api.push.apple.com at port 443 and that the push certificate is valid."}, late("pushes are owed to devices", func(f Facts) Queue { return f.Pushes }, 30*time.Minute, 4*time.Hour)},
		{Kind{"command-stuck", "Commands", "commands that a device took and never answered", "Open the device’s page. Restarting the device often helps; cancel the command if it does not."}, late("commands wait for the answer of a device that has been there since", func(f Facts) Queue { return f.Commands }, day, 7*day)},
		{Kind{"plan-late", "Planning", "devices whose plan is overdue", "See whether the job “plan” fails, and the load of the machine."}, late("devices are overdue to be judged and planned", func(f Facts) Queue { return f.Plans }, 15*time.Minute, 2*time.Hour)},
		{Kind{"notice-failed", "Messages to the people on call", "whether they arrive", "See the relay and the addresses of webhooks in the configuration, under notify, then send a test."}, notices},
		{Kind{"approvers-few", "Approvers", "whether two people can sign an order at any hour", "Name at least three: ward approver invite, or the page Approvers."}, approvers},
	}
}

func certificates(f Facts, tell say) {
	for _, e := range f.Expiries {
		left := e.Ends.Sub(f.Now)
		name := expiryName(e)
		switch {
		case e.Lost:
			tell(Warning, time.Time{}, e.Cure, e.Href, "The key of %s was given up: it signs nothing any more.", name)
		case left <= 0:
			tell(Fault, e.Ends, e.Cure, e.Href, "%s ended on %s.", name, date(e.Ends))
		case e.Renews && left > renewsLate:
		case left <= expiresFault:
			tell(Fault, time.Time{}, e.Cure, e.Href, "%s ends on %s, in %s.", name, date(e.Ends), span(left))
		case left <= expiresSoon:
			tell(Warning, time.Time{}, e.Cure, e.Href, "%s ends on %s, in %s.", name, date(e.Ends), span(left))
		case left <= 2*expiresSoon:
			tell(Notice, time.Time{}, e.Cure, e.Href, "%s ends on %s, in %s.", name, date(e.Ends), span(left))
		}
	}
}

// expiryName says what an expiry is of.
func expiryName(e Expiry) string {
	switch {
	case e.Name == "server":
		return "The server’s TLS certificate"
	case e.Name == "root":
		return "The authority’s root"
	case e.Name == "device" && e.Count > 1:
		return fmt.Sprintf("The identities of %d devices, of which the first", e.Count)
	case e.Name == "device":
		return "The identity of a device"
	case strings.HasPrefix(e.Name, "com.apple.mgmt"):
		return "Apple’s push certificate (" + e.Name + ")"
	case strings.HasPrefix(e.Name, "issuer"):
		return "The authority’s " + e.Name
	}
	return "The certificate “" + e.Name + "”"
}

func push(f Facts, tell say) {
	if !f.Push && !f.Trial {
		tell(Fault, time.Time{}, "", "/setup", "There is no push certificate: no Apple device can enrol or be reached.")
	}
}

func tokens(f Facts, tell say) {
	for _, t := range f.Tokens {
		left := t.Ends.Sub(f.Now)
		if left > 0 && left <= tokenSoon {
			tell(Notice, time.Time{}, "", t.Href, "The token “%s” ends on %s, in %s.", t.Name, date(t.Ends), span(left))
		}
	}
}

func backup(f Facts, tell say) {
	old := f.Now.Sub(f.Backup)
	switch {
	case f.Trial && f.Backup.IsZero():
		tell(Notice, time.Time{}, "Nothing, while it is a trial.", "", "No backup was ever made: this is a trial.")
	case f.Trial || f.Devices == 0 && f.Backup.IsZero():
	case f.Backup.IsZero():
		tell(Fault, time.Time{}, "", "", "No backup was ever made by Ward. If this machine is lost, every device has to enrol anew.")
	case old > backupFault:
		tell(Fault, f.Backup, "", "", "The last backup was made on %s, %s ago.", date(f.Backup), span(old))
	case old > backupWarn:
		tell(Warning, f.Backup, "", "", "The last backup was made on %s, %s ago.", date(f.Backup), span(old))
	}
}

func disk(f Facts, tell say) {
	if f.Disk.Total == 0 {
		return
	}
	share := float64(f.Disk.Free) / float64(f.Disk.Total)
	switch {
	case share < diskFault || f.Disk.Free < diskLeast/4:
		tell(Fault, time.Time{}, "", "", "Only %s of %s are free where the data stands.", size(f.Disk.Free), size(f.Disk.Total))
	case share < diskWarn && f.Disk.Free < 10*diskLeast || f.Disk.Free < diskLeast:
		tell(Warning, time.Time{}, "", "", "%s of %s are free where the data stands.", size(f.Disk.Free), size(f.Disk.Total))
	}
}

func database(f Facts, tell say) {
	d := f.Database
	switch {
	case d.Latency > slowFault:
		tell(Fault, time.Time{}, "", "", "The database took %s for a small question.", d.Latency.Round(time.Millisecond))
	case d.Latency > slowWarn:
		tell(Warning, time.Time{}, "", "", "The database took %s for a small question.", d.Latency.Round(time.Millisecond))
	}
	if d.Engine == "sqlite" && d.Size > sqliteLarge {
		tell(Notice, time.Time{}, "Move to PostgreSQL when backups take too long: ward backup, then ward restore.", "", "The database file holds %s.", size(uint64(d.Size)))
	}
	if d.Clock > clockWarn || d.Clock < -clockWarn {
		tell(Warning, time.Time{}, "Have both machines follow a time server.", "", "The clocks of the server and of the database differ by %s.", d.Clock.Abs().Round(time.Second))
	}
}
