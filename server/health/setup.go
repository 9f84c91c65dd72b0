package health

// Done says how far a step of the first day has come.
type Done string

// How far a step is.
const (
	Finished Done = "done"
	ToDo     Done = "to do"
	Optional Done = "optional" // it is not done, and need not be
)

// Step is one thing to do on the first day.
type Step struct {
	Code    string
	Text    string
	Why     string
	How     string // what to do, in a sentence
	Href    string // the page on which it is done; empty where there is none
	Command string // the command by which it is done; empty where there is none
	Done    Done
	Detail  string // what is known of it, such as who or until when; may be empty
}

// First is what is known of an installation on its first days.
type First struct {
	Facts
	Organisation string // "" or "Ward" has not been named
	Logo         bool
	PublicURL    string
	TLS          string // how connections are protected, in words; empty if by a made-up certificate
	KeysApart    bool   // the keys stand in another folder than the data
	Register     int    // approved apps
	Assessed     int    // of these, with a reference to their impact assessment
	Tested       bool   // a test message was sent to the people on call
	OIDC         bool   // people sign in by the organisation's own accounts
	Enrolled     int    // devices that have enrolled so far
	Notice       bool   // the policy has a notice for staff
	Words        bool   // what a lost phone shows has a number to call
}

// Setup lists what the first day is for, in the order in which it is best done.
func Setup(f First) []Step {
	when := func(done bool) Done {
		if done {
			return Finished
		}
		return ToDo
	}
	maybe := func(done bool) Done {
		if done {
			return Finished
		}
		return Optional
	}
	return []Step{
		{"organisation", "Name the organisation", "Staff read it when they enrol and on a phone that is lost.", "Set organisation in the configuration, and logo if you have a file.", "", "", when(f.Organisation != "" && f.Organisation != "Ward"), f.Organisation},
		{"tls", "Protect the public address", "Devices keep this address for life, and trust it by its certificate.", "Set public_url and tls in the configuration.", "", "", when(f.TLS != ""), f.PublicURL},
		{"push", "Get Apple’s push certificate", "Without it no iPhone or Mac can enrol. It has to be renewed each year with the same Apple Account.", "Make a request, upload it at Apple’s site, import what you get.", "", "ward apns request", when(f.Push), pushDetail(f.Facts)},
		{"keys", "Keep the keys off this disk", "Who has both the database and the keys can read everything.", "Set keys to another file system, or the issuer’s key to a hardware module (ca.issuer_key).", "", "", maybe(f.KeysApart), ""},
		{"backup", "Make a backup and keep it elsewhere", "If this machine is lost without one, every device has to enrol anew.", "Run it now, and every day by a timer.", "", "ward backup --passphrase-file FILE ward.backup", when(!f.Backup.IsZero()), backupDetail(f.Facts)},
		{"approvers", "Name three people who approve", "An erase takes two of them. With three, one may be away.", "Invite each: they register a passkey.", "/approvers", "ward approver invite", when(f.Approvers >= 3), count(f.Approvers, "stands", "stand")},
		{"notify", "Have somebody told", "Orders, lost devices and deadlines are told by e-mail and webhook.", "Set notify in the configuration, then send a test.", "/notifications", "", when(f.Notices.Configured && f.Tested), ""},
		{"register", "Approve a messaging app, with its impact assessment", "It is what staff are to use in the place of what is kept off.", "Write it into the policy’s register with the reference of its DPIA.", "/register", "", when(f.Register > 0 && f.Assessed == f.Register), count(f.Register, "app is approved", "apps are approved")},
		{"policy", "Publish the first policy", "Until then nothing is asked of any device.", "Look at the plan first: it says what will happen, and what can’t be enforced.", "/policies", "ward policy publish", when(f.Policy), ""},
		{"notice", "Say to staff what it means for them", "People accept what they were told. Each reads it on their own page, and acknowledges it.", "Write notice into the policy.", "/staff", "", when(f.Notice), ""},
		{"words", "Set what a lost phone shows", "Whoever finds it needs a number to call.", "Set the message and the number.", "/settings/templates", "", when(f.Words), ""},
		{"oidc", "Let people sign in with their own accounts", "Who leaves the organisation then leaves Ward too.", "Set oidc in the configuration.", "/settings/people", "", maybe(f.OIDC), ""},
		{"device", "Enrol the first device", "Try it with one phone of your own before you invite a ward.", "Invite it, and scan the code with its camera.", "/enrolment/new", "ward invite", when(f.Enrolled > 0), count(f.Enrolled, "has enrolled", "have enrolled")},
		{"checkpoint", "Keep the audit log’s key elsewhere", "With the key and an earlier checkpoint anyone can prove that nothing was changed since.", "Copy both from the page of the audit log and keep them where the server can’t reach them.", "/audit/verify", "ward audit key", Optional, ""},
	}
}

// Ready reports whether every step that has to be done is.
func Ready(steps []Step) bool {
	for _, s := range steps {
		if s.Done == ToDo {
			return false
		}
	}
	return true
}

func pushDetail(f Facts) string {
	for _, e := range f.Expiries {
		if expiryName(e) == "Apple’s push certificate ("+e.Name+")" {
			return "ends on " + date(e.Ends)
		}
	}
	return ""
}

func backupDetail(f Facts) string {
	if f.Backup.IsZero() {
		return ""
	}
	return "last on " + date(f.Backup)
}
