package enrollment

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/wardmdm/ward"
)

// Request asks for an invitation. Name and Ownership are required.
type Request struct {
	Name       string // of the person
	Email      string
	DeviceName string // empty: made from the person's name
	Platform   ward.Platform
	Ownership  ward.Ownership
	Group      string
	Site       string
	Role       string // the staff role
	Supervised bool
	// Serial is the serial number of the device that it is for; empty if any will do.
	Serial string
	// Identity pins how the device gets its identity; empty leaves it to the rule.
	Identity Identity
	Life     time.Duration // 0 means DefaultLife
	// Device is an existing device to enrol anew; empty makes a new device.
	Device ward.DeviceID
}

// normalise trims what people typed and fills in what they left out.
func (r Request) normalise() Request {
	r.Name, r.Email = strings.TrimSpace(r.Name), strings.TrimSpace(r.Email)
	r.DeviceName, r.Group = strings.TrimSpace(r.DeviceName), strings.TrimSpace(r.Group)
	r.Site, r.Role = strings.TrimSpace(r.Site), strings.TrimSpace(r.Role)
	r.Serial = strings.ToUpper(strings.TrimSpace(r.Serial))
	if r.Platform == "" {
		r.Platform = ward.IOS
	}
	if r.DeviceName == "" && r.Name != "" {
		kind := "iPhone"
		if r.Platform == ward.MacOS {
			kind = "Mac"
		}
		r.DeviceName = r.Name + "'s " + kind
	}
	if r.Life == 0 {
		r.Life = DefaultLife
	}
	return r
}

// Mistake is what is wrong with a field of a Request.
type Mistake struct {
	Field string // as a staff file names it; "hours" for Life
	Text  string // a sentence for its author
}

// Mistakes returns every mistake that shows in the request itself.
func (r Request) Mistakes() (out []Mistake) {
	r = r.normalise()
	add := func(field, format string, args ...any) {
		out = append(out, Mistake{field, fmt.Sprintf(format, args...)})
	}
	if r.Name == "" {
		add("name", "A name is needed: whom is the invitation for?")
	}
	for _, f := range []struct{ field, what, v string }{{"name", "name", r.Name}, {"device_name", "device name", r.DeviceName}, {"group", "group", r.Group}, {"site", "site", r.Site}, {"role", "role", r.Role}} {
		switch {
		case utf8.RuneCountInString(f.v) > 120:
			add(f.field, "The %s is longer than 120 characters.", f.what)
		case !printable(f.v):
			add(f.field, "The %s holds characters that cannot be printed.", f.what)
		}
	}
	if r.Email != "" {
		if a, err := mail.ParseAddress(r.Email); err != nil || a.Address != r.Email || len(r.Email) > 254 || !printable(r.Email) {
			add("email", "%q is not an e-mail address.", short(r.Email))
		}
	}
	switch {
	case r.Ownership == "":
		add("ownership", "The ownership is needed: %s or %s.", ward.Corporate, ward.Personal)
	case !r.Ownership.Valid():
		add("ownership", "The ownership %q is not known: use %s or %s.", short(string(r.Ownership)), ward.Corporate, ward.Personal)
	case r.Ownership == ward.Personal && r.Supervised:
		add("supervised", "A personal device is never supervised.")
	}
	if r.Platform != ward.IOS && r.Platform != ward.MacOS {
		add("platform", "A device of the platform %q does not enrol by a link: use %s or %s.", short(string(r.Platform)), ward.IOS, ward.MacOS)
	}
	if r.Serial != "" && !appleSerial(r.Serial) {
		add("serial", "%q is not an Apple serial number: it has 8 to 14 letters and digits. The device shows it in Settings under General, About, a Mac under About This Mac.", short(r.Serial))
	}
	if r.Identity != "" && r.Identity != Attested && r.Identity != SCEP {
		add("identity", "The identity %q is not known: use %s or %s, or leave it out.", short(string(r.Identity)), Attested, SCEP)
	}
	if r.Life < time.Minute || r.Life > MaxLife {
		add("hours", "A link may work for one minute at least and %d days at most.", MaxLife/(24*time.Hour))
	}
	return out
}

// appleSerial reports whether s has the form of a serial number by Apple: 11 or 12 letters
// and digits on older devices, 8 to 14 on those made since 2021.
func appleSerial(s string) bool {
	return len(s) >= 8 && len(s) <= 14 && !strings.ContainsFunc(s, func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '0' || r > '9') })
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// short cuts what is repeated to its author.
func short(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
