package source

import (
	"regexp"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/profiles/intent"
)

// noAutomaticWipe is why no field lets a device erase itself.
const noAutomaticWipe = "a device that erases itself after wrong passcodes carries out a destructive order that nobody gave and nobody approved; order an erase when it is lost"

// What a rule of the posture may be given.
const (
	noSeverity  = "none" // a later layer switches a rule off
	maxGrace    = 90 * day
	minLastSeen = time.Hour
	maxLastSeen = 90 * day
)

var (
	// versionPattern allows what intent.ParseVersion reads, and a build for Windows.
	versionPattern = regexp.MustCompile(`^[1-9][0-9]{0,4}(\.[0-9]{1,6}){0,3}$`)
	// appVersion allows what intent.CompareVersions compares, to a sensible length.
	appVersion = regexp.MustCompile(`^[0-9]{1,12}(\.[0-9]{1,12}){0,7}$`)
)

func (r *reader) posture(l *layer) shape {
	p := &l.posture
	return r.object(object{
		what: "posture", def: "posture",
		doc: "What a device must be to comply. Each rule has a severity and a grace, the time a device has to put itself right.",
		fields: []field{
			{name: "minimum_os", doc: "The oldest version of the operating system that complies, for each platform.", shape: r.minimumOS(p)},
			{name: "passcode", doc: "The device has a passcode such as this; it is also asked of the device.", shape: r.passcode(p)},
			{name: "encryption", doc: "The device's storage is encrypted; it is also asked of the device.", shape: r.rule("encryption", &p.encryption)},
			{name: "last_seen", doc: "The device has been in touch lately.", shape: r.rule("last_seen", &p.lastSeen,
				field{name: "within", doc: "How long ago at most; 72h unless said.", shape: single(r, &p.within, func(v *time.Duration) shape {
					return r.duration("within", minLastSeen, maxLastSeen, v)
				})})},
			{name: "approved_app", doc: "Required apps are there, in their minimum version.", shape: r.rule("approved_app", &p.approvedApp)},
			{name: "certificate", doc: "Apps that need a certificate have a valid one.", shape: r.rule("certificate", &p.certificate)},
			{name: "blocked_app", doc: "No blocked app is there, where it can run.", shape: r.rule("blocked_app", &p.blockedApp)},
		},
	})
}

func (r *reader) rule(what string, into *ruleWords, more ...field) shape {
	fields := append(more,
		field{name: "severity", doc: "breach: the device does not comply. advice: it is shown only. none: not asked. breach unless said.", shape: single(r, &into.severity, func(v *string) shape {
			return r.choice("severity", []string{noSeverity, string(intent.Advice), string(intent.Breach)}, v)
		})},
		field{name: "grace", doc: "How long it may last before it counts, such as 72h or 7d; none unless said.", shape: single(r, &into.grace, func(v *time.Duration) shape {
			return r.duration("grace", time.Minute, maxGrace, v)
		})},
	)
	return r.begins(&into.at, r.object(object{what: what, fields: fields}))
}

func (r *reader) minimumOS(p *postureWords) shape {
	var fields []field
	for i, name := range platforms {
		fields = append(fields, field{name: string(name), shape: single(r, &p.versions[i], func(v *string) shape { return r.version(string(name), v) })})
	}
	return r.rule("minimum_os", &p.minimumOS, fields...)
}

func (r *reader) version(what string, into *string) shape {
	return r.pattern(what, versionPattern, "a version such as 18 or 18.6.1", into)
}

func (r *reader) passcode(p *postureWords) shape {
	fields := []field{
		{name: "minimum_length", doc: "Characters, 4 to 16; the platform's own least unless said.", shape: single(r, &p.minimumLength, func(v *int64) shape {
			return r.whole("minimum_length", 4, 16, "a whole number from 4 to 16", v)
		})},
		{name: "complex", doc: "No simple sequences; letters and digits where the platform can ask for them.", shape: single(r, &p.complexity, func(v *bool) shape { return r.boolean("complex", v) })},
		{name: "lock_after", doc: "How long the device may lie idle before it locks, 1m to 60m.", shape: single(r, &p.lockAfter, func(v *time.Duration) shape {
			return r.duration("lock_after", time.Minute, time.Hour, v)
		})},
	}
	for _, name := range []string{
		"wipe_after", "erase_after", "wipe_after_failed_attempts", "erase_after_failed_attempts",
		"maximum_failed_attempts", "max_failed_attempts",
	} {
		fields = append(fields, field{name: name, refused: noAutomaticWipe})
	}
	return r.rule("passcode", &p.passcode, fields...)
}

// match says for which devices a group is.
type match struct {
	sites, wards, roles []string
	ownership           []ward.Ownership
	platforms           []ward.Platform
}

func (r *reader) match(m *match) shape {
	texts := func(name, doc string, into *[]string) field {
		return field{name: name, doc: doc, shape: r.oneOrMore(name, func() shape {
			return shape{
				read: func(n *yaml.Node) bool {
					if s, ok := r.word(n, name); ok {
						*into = append(*into, s)
					}
					return true
				},
				schema: func(*definitions) schema { return schema{"type": []any{"string", "number", "boolean"}} },
			}
		})}
	}
	ownership := []string{string(ward.Corporate), string(ward.Personal)}
	names := make([]string, len(platforms))
	for i, p := range platforms {
		names[i] = string(p)
	}
	return r.object(object{
		what: "match", doc: "The devices of this group: everything that is given must hold.",
		fields: []field{
			texts("site", "The building or campus a device belongs to.", &m.sites),
			texts("ward", "The device's group.", &m.wards),
			texts("role", "The staff role a device is meant for.", &m.roles),
			{name: "ownership", doc: "Whose device it is; unknown counts as personal.", shape: words(r, "ownership", ownership, &m.ownership)},
			{name: "platform", shape: words(r, "platform", names, &m.platforms)},
		},
		anyOf: []string{"site", "ward", "role", "ownership", "platform"},
		check: func(n *yaml.Node, _ map[string]bool) {
			if len(m.sites)+len(m.wards)+len(m.roles)+len(m.ownership)+len(m.platforms) == 0 {
				r.wrong(n, "match names nothing: give site, ward, role, ownership or platform")
			}
		},
	})
}

// words reads one or more of a few words.
func words[T ~string](r *reader, what string, known []string, into *[]T) shape {
	return r.oneOrMore(what, func() shape {
		var v string
		one := r.choice(what, known, &v)
		return shape{
			read: func(n *yaml.Node) bool {
				one.read(n)
				*into = append(*into, T(v))
				return true
			},
			schema: one.schema,
		}
	})
}
