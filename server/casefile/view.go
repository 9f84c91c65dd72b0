package casefile

import (
	"fmt"
	"strings"
	"time"
)

// View is a file in words, in the order of reading. The page and the PDF are both made of
// it, so that they say the same.
type View struct {
	ID           string
	Title        string
	Organisation string
	Made         string // when, and for whom
	MadeAt       time.Time
	Banner       string // what has to be known before all else; empty for nothing
	Sections     []Section
}

// Section is one part of a View. Any of its contents may be empty.
type Section struct {
	Anchor  string // unique in the View; lower-case letters, digits and hyphens
	Heading string
	Text    []string // paragraphs, before all else
	Rows    []Row
	Tables  []Table
	Notes   []string // small print, after all else
}

// Row is a label with what stands beside it, which may have several lines.
type Row struct{ Label, Value string }

// Table is a table whose rows are all as long as its head.
type Table struct {
	Caption string
	Head    []string
	Shares  []int // the columns' shares of the width, in percent
	Rows    [][]string
}

// NewView says src in words.
func NewView(src Source) View {
	src = src.inUTC().placeless()
	v := View{
		ID: src.id(), Title: title(src), Organisation: src.Organisation, MadeAt: src.MadeAt,
		Made:   "Made at " + stamp(src.MadeAt) + " for " + who(src.MadeBy),
		Banner: banner(src),
	}
	add := func(s Section) {
		if len(s.Text)+len(s.Rows)+len(s.Tables) > 0 {
			v.Sections = append(v.Sections, s)
		}
	}
	if src.Case != nil {
		add(inShort(src))
		add(theReport(*src.Case))
	}
	if src.Device != nil {
		add(device(*src.Device))
	}
	if src.Case != nil {
		add(commands(src))
	}
	for _, o := range src.Orders {
		add(orderSection(o))
	}
	if src.Case == nil {
		add(commands(src))
	} else {
		add(locations(src.Locations))
		add(certificates(src.Certificates))
		add(assessment(src))
	}
	add(timeline(src.Timeline))
	add(positions(src.Audit))
	return v
}

// id is what the file is named by, "" if src is of nothing.
func (src Source) id() string {
	switch {
	case src.Case != nil:
		return string(src.Case.ID)
	case len(src.Orders) == 1:
		return string(src.Orders[0].ID)
	}
	return ""
}

func title(src Source) string {
	if src.Case == nil {
		if len(src.Orders) == 1 {
			return "Order: " + phrase(src.Orders[0].Kind)
		}
		return "Order"
	}
	what := "device"
	if src.Device != nil {
		what = or(src.Device.Name, or(src.Device.Model, what))
	}
	return sentence(or(src.Case.Kind, "lost")) + ": " + what
}

func banner(src Source) string {
	switch {
	case src.Case != nil && src.Case.Drill == "dry":
		return "A rehearsal. Nothing was sent to the device and nothing was revoked; what is said of commands is what would have been done."
	case src.Case != nil && src.Case.Drill != "":
		return "A rehearsal with a real device, and no loss."
	case src.Case == nil && len(src.Orders) == 1 && src.Orders[0].Drill:
		return "A rehearsal. No command was queued."
	}
	return ""
}

// inShort answers the four questions that are asked first.
func inShort(src Source) Section {
	c := *src.Case
	s := Section{Anchor: "in-short", Heading: "In short"}
	s.Rows = append(s.Rows,
		Row{"The case", sentence(stateOf(c))},
		Row{"Lock", sentence(best(src, "no lock was sent", enableLostMode, deviceLock))},
		Row{"Erase", sentence(best(src, "no erase was sent", eraseDevice))},
		Row{"Certificates", plural(len(src.Certificates), "was revoked", "were revoked")},
		Row{"Data breach", sentence(decided(src))},
	)
	return s
}

func stateOf(c Case) string {
	switch {
	case !c.Closed.IsZero() && !c.Found.IsZero():
		return "found at " + stamp(c.Found) + ", closed at " + stamp(c.Closed)
	case !c.Closed.IsZero():
		return "not found, closed at " + stamp(c.Closed)
	case !c.Found.IsZero():
		return "found at " + stamp(c.Found)
	}
	return c.State
}

// best says the truth about the commands of the given types: of the first that the device
// accepted, else of the last one that was sent. An erase that came back fresh outweighs
// all others, and one after which the device was seen outweighs none.
func best(src Source, none string, requestTypes ...string) string {
	var pick *Command
	rank := -1
	for i, c := range src.Commands {
		for _, t := range requestTypes {
			if c.RequestType != t {
				continue
			}
			if r := weight(standing(c)); r > rank || r == rank && r < weight(accepted) {
				pick, rank = &src.Commands[i], r
			}
		}
	}
	if pick == nil {
		return none
	}
	return wordsAfter(*pick, elapsed(*pick, src.reported()).AfterReport)
}

func weight(standing string) int {
	switch standing {
	case "came back fresh":
		return 3
	case "accepted, not seen since":
		return 2
	case accepted:
		return 1
	}
	return 0
}

// reported is when the clock of the file began: with the report, or with the request for
// an order without a case.
func (src Source) reported() time.Time {
	switch {
	case src.Case != nil:
		return src.Case.Reported
	case len(src.Orders) == 1:
		return src.Orders[0].Requested
	}
	return time.Time{}
}

func theReport(c Case) Section {
	s := Section{Anchor: "report", Heading: "The report"}
	s.Rows = []Row{
		{"Reported", stamp(c.Reported)},
		{"By", or(c.ReportedBy.Name, or(string(c.ReportedBy.Person), sentence(notRecorded)))},
		{"Known by", sentence(or(c.Identified, notRecorded))},
		{"Kind", sentence(c.Kind)},
		{"Last seen", sentence(lastSeen(c))},
		{"Was it unlocked", sentence(or(c.WasUnlocked, notKnown))},
		{"Patient data open", sentence(or(c.DataOpen, notKnown))},
	}
	if c.Note != "" {
		s.Rows = append(s.Rows, Row{"Note", c.Note})
	}
	if shown := lines(c.Message, c.Phone, c.Footnote); shown != "" {
		s.Rows = append(s.Rows, Row{"The device shows", shown})
	}
	return s
}

// lastSeen is where and when a person last saw the device.
func lastSeen(c Case) string {
	switch {
	case c.LastSeenWhere == "" && c.LastSeen.IsZero():
		return notKnown
	case c.LastSeen.IsZero():
		return c.LastSeenWhere
	case c.LastSeenWhere == "":
		return stamp(c.LastSeen)
	}
	return c.LastSeenWhere + ", " + stamp(c.LastSeen)
}

func device(d Device) Section {
	s := Section{Anchor: "device", Heading: "The device"}
	add := func(label, value string) {
		if value != "" {
			s.Rows = append(s.Rows, Row{label, value})
		}
	}
	add("Name", d.Name)
	add("Model", d.Model)
	add("Serial number", d.Serial)
	add("Platform", strings.TrimSpace(d.Platform+" "+d.OSVersion))
	add("Owned by", sentence(ownership(d.Ownership)))
	add("Held by", d.Holder)
	add("E-mail", d.Email)
	add("Group", d.Group)
	add("Site", d.Site)
	add("Id", string(d.ID))
	add("Last contact", sentence(known(d.LastSeen)))
	if !d.AsOf.IsZero() {
		s.Notes = []string{"As Ward knew it at " + stamp(d.AsOf) + "."}
	}
	return s
}

func ownership(o string) string {
	switch o {
	case "corporate":
		return "the organisation"
	case "personal":
		return "its holder"
	}
	return o
}

func commands(src Source) Section {
	s := Section{Anchor: "commands", Heading: "What was sent"}
	if len(src.Commands) == 0 {
		if src.Case != nil {
			s.Text = []string{"No command was sent."}
		}
		return s
	}
	t := Table{Head: []string{"Command", "Queued", "Where it stands", "After the report"}, Shares: []int{17, 20, 47, 16}}
	if src.Case == nil {
		t.Head[3] = "After the request"
	}
	var f fold
	for _, c := range src.Commands {
		after := "No answer"
		if e := elapsed(c, src.reported()); e.AfterReport != nil {
			after = ran(e.AfterReport)
		}
		f.add(c.RequestType+"\x00"+standing(c), []string{deed(c.RequestType), stamp(c.Queued), sentence(words(c)), after})
	}
	t.Rows = f.rows()
	s.Tables = []Table{t}
	s.Notes = answers(src.Commands)
	return s
}

// answers says where the bytes of the device's answers are.
func answers(all []Command) (notes []string) {
	n, kept := 0, map[string]bool{}
	for _, c := range all {
		if len(c.RawAnswer) > 0 {
			n++
		} else if c.Withheld != "" && !kept[c.Withheld] {
			kept[c.Withheld] = true
			notes = append(notes, "Not every answer is in the JSON pack: "+c.Withheld)
		}
	}
	if n > 0 {
		notes = append(notes, fmt.Sprintf("The bytes of %s are in the JSON pack.", plural(n, "answer of the device", "answers of the device")))
	}
	return notes
}
