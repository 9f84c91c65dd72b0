package source

import (
	"maps"
	"regexp"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// Approved is one entry of the approved-app register: an app that staff may use for
// work, with the record that information governance asks for before it is approved.
type Approved struct {
	intent.App
	Web       []string // its hosts, sorted; they are never kept off
	Purpose   string
	Owner     string
	DPIA      string // reference of the data protection impact assessment
	Retention string
	ReviewBy  time.Time // the last day, at 00:00 UTC
	Line      int       // in the policy file
}

// Overdue reports whether the day of the review has passed.
func (a Approved) Overdue(now time.Time) bool { return !now.Before(a.reviewDue()) }

func (a Approved) reviewDue() time.Time { return a.ReviewBy.Add(day) }

// Runs reports whether the app can be had on a platform. One that has web hosts can be
// used on every platform, which Runs leaves aside.
func (a Approved) Runs(p ward.Platform) bool { return len(identifiers(a.App, p)) > 0 }

// identifiers lists by what a platform knows an app, in the catalogue's spelling.
func identifiers(a intent.App, p ward.Platform) []string {
	var all []string
	switch p {
	case ward.IOS:
		all = []string{a.IOS.BundleID}
	case ward.MacOS:
		all = []string{a.MacOS.BundleID}
	case ward.Android:
		all = []string{a.Android.Package}
	case ward.Windows:
		all = []string{a.Windows.PackageFamilyName, a.Windows.Executable}
	case ward.Linux:
		all = []string{prefixed("flatpak:", a.Linux.Flatpak), prefixed("snap:", a.Linux.Snap), prefixed("exec:", a.Linux.Executable)}
	}
	return slices.DeleteFunc(all, func(id string) bool { return id == "" })
}

func prefixed(prefix, name string) string {
	if name == "" {
		return ""
	}
	return prefix + name
}

var (
	bundleID    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,154}$`)
	packageName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$`)
	teamID      = regexp.MustCompile(`^[A-Z0-9]{10}$`)
	linuxPart   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)
)

func (r *reader) approved() shape {
	a := &Approved{}
	return r.object(object{
		what: "an approved app", who: &a.Name, because: ": an app is approved only with its full record",
		doc: "An app that staff may use for work, with its record.",
		fields: slices.Concat([]field{
			needed(field{name: "name", doc: "The app, as staff know it.", shape: r.text("name", &a.Name)}),
		}, r.platformFields(a), []field{
			needed(field{name: "purpose", doc: "What it may be used for.", shape: r.text("purpose", &a.Purpose)}),
			needed(field{name: "owner", doc: "Who answers for it.", shape: r.text("owner", &a.Owner)}),
			needed(field{name: "dpia", doc: "Reference of the data protection impact assessment.", shape: r.text("dpia", &a.DPIA)}),
			needed(field{name: "retention", doc: "How long messages are kept, and what goes to the record.", shape: r.text("retention", &a.Retention)}),
			needed(field{name: "review_by", doc: "The last day by which the approval is to be looked at again.", shape: r.date("review_by", &a.ReviewBy)}),
			{name: "required", doc: "The person can't remove it.", shape: r.boolean("required", &a.Required)},
			{name: "needs_certificate", doc: "It proves itself by a client certificate, for which its config holds {{" + TokenVariable + "}} or {{" + CertVariable + "}}, unless certificate says otherwise.", shape: r.boolean("needs_certificate", &a.NeedsCertificate)},
			{name: "certificate", doc: "What certificate it needs and how it gets it.", shape: r.certificate(&a.Certificate)},
			{name: "config", doc: "Managed configuration: typed values, with variables in text.", shape: r.dictionary("config", &a.Config)},
		}),
		anyOf: []string{"ios", "macos", "android", "windows", "linux", "web"},
		check: func(n *yaml.Node, present map[string]bool) { r.register(n, a, present) },
	})
}

func (r *reader) platformFields(a *Approved) []field {
	var versions []field
	least := map[ward.Platform]*string{}
	for _, p := range platforms {
		least[p] = new(string)
		versions = append(versions, field{name: string(p), shape: r.pattern("minimum_version", appVersion, "a version such as 18 or 18.6.1", least[p])})
	}
	return []field{
		{name: "ios", doc: "How iPhones and iPads get it.", shape: r.apple("ios", &a.IOS)},
		{name: "macos", doc: "How Macs get it.", shape: r.apple("macos", &a.MacOS)},
		{name: "android", doc: "The app in the managed Play store.", shape: r.android(&a.Android)},
		{name: "windows", doc: "How Windows knows it.", shape: r.windows(&a.Windows)},
		{name: "linux", doc: "How Linux knows it.", shape: r.linux(&a.Linux)},
		{name: "web", doc: "Hosts that the app or its web version needs; they are never kept off.", shape: r.hosts("web", &a.Web)},
		{name: "minimum_version", doc: "The oldest version of the app that complies, for each platform.", shape: r.object(object{
			what: "minimum_version", fields: versions,
			check: func(*yaml.Node, map[string]bool) {
				given := maps.Collect(func(yield func(ward.Platform, string) bool) {
					for _, p := range platforms {
						if *least[p] != "" && !yield(p, *least[p]) {
							return
						}
					}
				})
				if len(given) > 0 {
					a.MinimumVersion = given
				}
			},
		})},
	}
}

func (r *reader) apple(what string, into *intent.AppleApp) shape {
	return r.object(object{
		what: what,
		fields: []field{
			needed(field{name: "bundle_id", doc: "In exact case.", shape: r.pattern("bundle_id", bundleID, "letters, digits, dots and hyphens, such as org.example.app", &into.BundleID)}),
			{name: "app_store_id", doc: "The number of the app in the App Store.", shape: r.whole("app_store_id", 1, 1<<62, "the number of the app in the App Store", &into.StoreID)},
			{name: "manifest_url", doc: "Where the manifest of an app of the organisation lies; it may begin with {{server.url}}/.", shape: r.address("manifest_url", &into.ManifestURL, fromServer)},
			{name: "team_id", doc: "The ten characters of the team that signs it; a Mac's block and allow lists need it.", shape: r.pattern("team_id", teamID, "ten capital letters and digits", &into.TeamID)},
		},
		oneOf: []string{"app_store_id", "manifest_url"},
		check: func(n *yaml.Node, present map[string]bool) {
			if present["app_store_id"] == present["manifest_url"] {
				r.wrong(n, "%s needs either app_store_id or manifest_url", what)
			}
		},
	})
}

func (r *reader) android(into *intent.AndroidApp) shape {
	return r.object(object{
		what: "android",
		fields: []field{
			needed(field{name: "package", doc: "In exact case.", shape: r.pattern("package", packageName, "a package name such as org.example.app", &into.Package)}),
			{name: "minimum_version_code", doc: "The oldest version code; older ones are updated at once.", shape: r.whole("minimum_version_code", 1, 1<<31-1, "a whole number above 0", &into.MinimumVersionCode)},
		},
	})
}

func (r *reader) windows(into *intent.WindowsApp) shape {
	return r.object(object{
		what: "windows",
		fields: []field{
			{name: "package_family_name", shape: r.pattern("package_family_name", packageFamily, "a name such as Example.App_1a2b3c4d5e6f7", &into.PackageFamilyName)},
			{name: "executable", shape: r.pattern("executable", executable, "a file name such as example.exe", &into.Executable)},
		},
		anyOf: []string{"package_family_name", "executable"},
		check: r.oneNamed("windows", "package_family_name or executable"),
	})
}

func (r *reader) linux(into *intent.LinuxApp) shape {
	part := func(name string, into *string) field {
		return field{name: name, shape: r.pattern(name, linuxPart, "letters, digits, dots, hyphens and underscores", into)}
	}
	return r.object(object{
		what:   "linux",
		fields: []field{part("flatpak", &into.Flatpak), part("snap", &into.Snap), part("executable", &into.Executable)},
		anyOf:  []string{"flatpak", "snap", "executable"},
		check:  r.oneNamed("linux", "flatpak, snap or executable"),
	})
}

func (r *reader) oneNamed(what, names string) func(*yaml.Node, map[string]bool) {
	return func(n *yaml.Node, present map[string]bool) {
		for _, given := range present {
			if given {
				return
			}
		}
		r.wrong(n, "%s names no app: give %s", what, names)
	}
}

// register checks a whole entry and adds it.
func (r *reader) register(n *yaml.Node, a *Approved, present map[string]bool) {
	who := a.Name
	if who == "" {
		who = "an approved app"
	}
	if !slices.ContainsFunc([]string{"ios", "macos", "android", "windows", "linux", "web"}, func(p string) bool { return present[p] }) {
		r.wrong(n, "%s names no platform: give ios, macos, android, windows, linux or web", who)
	}
	if a.Name != "" && slices.ContainsFunc(r.policy.Register, func(o Approved) bool { return o.Name == a.Name }) {
		r.wrong(n, "approved lists %s twice", who)
	}
	for _, p := range platforms {
		for _, id := range identifiers(a.App, p) {
			key := string(p) + " " + spelling(p, id)
			if other, taken := r.owners[key]; taken {
				r.wrong(n, "%s has the %s of %s: %s", who, identifierWords[p], other, id)
			}
			r.owners[key] = who
		}
	}
	r.proof(n, who, a, present)
	a.Line = n.Line
	r.policy.Register = append(r.policy.Register, *a)
}

// identifierWords is a table, never changed.
var identifierWords = map[ward.Platform]string{
	ward.IOS: "bundle id", ward.MacOS: "bundle id on Macs", ward.Android: "package", ward.Windows: "name on Windows", ward.Linux: "name on Linux",
}
