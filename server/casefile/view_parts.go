package casefile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func orderSection(o Order) Section {
	s := Section{Anchor: "order-" + anchor(string(o.ID)), Heading: "Order to " + verb(o.Kind)}
	s.Rows = []Row{
		{"Order", string(o.ID)},
		{"State", sentence(phrase(o.State))},
		{"Asked for", stamp(o.Requested) + " by " + who(o.RequestedBy)},
		{"Reason", or(o.Reason, notRecorded)},
	}
	if o.Drill {
		s.Rows = append(s.Rows, Row{"Rehearsal", "Yes: no command was queued"})
	}
	if !o.Due.IsZero() {
		s.Rows = append(s.Rows, Row{"Not before", stamp(o.Due)})
	}
	for i, a := range o.Approvals {
		s.Rows = append(s.Rows, Row{"Approval " + strconv.Itoa(i+1), approval(a, o.Hash)})
	}
	if len(o.Approvals) == 0 {
		s.Rows = append(s.Rows, Row{"Approvals", "None"})
	}
	if (o.State == "approved" || o.State == "issued") && !o.proven() {
		s.Rows = append(s.Rows, Row{"Not proven", "The database says that this order is " + o.State + ", and no two proven approvals stand behind that"})
	}
	if c := o.Closing; c != nil {
		s.Rows = append(s.Rows, Row{"Ended", stamp(c.At) + " by " + who(c.By) + because(c.Reason)})
	}
	s.Rows = append(s.Rows, Row{"Hash", o.Hash})
	if len(o.Targets) > 0 {
		t := Table{Head: []string{"Device", "Outcome", "Handed out", "Ended"}, Shares: []int{26, 34, 20, 20}}
		for _, x := range o.Targets {
			t.Rows = append(t.Rows, []string{or(x.Name, string(x.Device)), sentence(outcome(x) + because(x.Error)), never(x.Delivered), never(x.Answered)})
		}
		s.Tables = []Table{t}
	}
	return s
}

// proven reports whether two people's proven approvals stand behind the order, or that by
// the sealed key.
func (o Order) proven() bool {
	people := map[string]bool{}
	for _, a := range o.Approvals {
		if !a.Proven || a.Hash != o.Hash {
			continue
		}
		if a.Glass {
			return true
		}
		people[a.Approver] = true
	}
	return len(people) > 1
}

// outcome says what became of an order on one device. That a device accepted an erase does
// not mean that it was erased.
func outcome(t Target) string {
	switch t.Outcome {
	case "":
		return "nothing was queued"
	case accepted, refused:
		return t.Outcome + " by the device"
	}
	return phrase(t.Outcome)
}

// verb says an order's kind as what it does.
func verb(kind string) string {
	switch kind {
	case "clear_passcode":
		return "clear a passcode"
	case "remove_management":
		return "remove the management"
	case "lock_pin":
		return "lock with a PIN"
	case "release_brake":
		return "release the brake"
	case "lift_brake":
		return "lift the brake"
	}
	return phrase(kind)
}

// approval says who said yes, how, whether to this order, and whether that is proven.
func approval(a Approval, hash string) string {
	by := or(a.Name, or(string(a.Person), notRecorded))
	how := "with a passkey"
	if a.Glass {
		by, how = "the sealed key in two parts", "opened as break glass"
	}
	if a.Subject != "" {
		by += " (" + a.Subject + ")"
	}
	text := fmt.Sprintf("%s, %s, at %s", by, how, stamp(a.At))
	if a.Hash != hash {
		text += ". It is not of this order"
	}
	if !a.Proven {
		return "Not proven: so the database says, and Ward could not verify it. " + or(a.Unproven, "Ward did not check it.") + "\n" + text
	}
	return text + "\nThe signature and the approver's standing were verified when this file was made"
}

func never(t time.Time) string {
	if t.IsZero() {
		return "No"
	}
	return stamp(t)
}

func locations(all []Look) Section {
	s := Section{Anchor: "locations", Heading: "Who asked where it was"}
	if len(all) == 0 {
		s.Text = []string{"Nobody asked."}
		return s
	}
	t := Table{Head: []string{"When", "Who", "What", "Why"}, Shares: []int{22, 22, 18, 38}}
	var f fold
	for _, l := range all {
		f.add(l.Deed+"\x00"+who(l.By)+"\x00"+l.Purpose, []string{stamp(l.At), who(l.By), sentence(l.Deed), sentence(or(l.Purpose, notRecorded))})
	}
	t.Rows = f.rows()
	s.Tables = []Table{t}
	s.Notes = []string{"Places are in no case file."}
	return s
}

func certificates(all []Certificate) Section {
	s := Section{Anchor: "certificates", Heading: "Certificates revoked"}
	if len(all) == 0 {
		s.Text = []string{"None."}
		return s
	}
	t := Table{Head: []string{"Serial number", "For", "Revoked", "Revocation list"}, Shares: []int{32, 18, 22, 28}}
	for _, c := range all {
		list := "On no list yet"
		if c.List != "" {
			list = "Number " + c.List
			if !c.Listed.IsZero() {
				list += ", " + stamp(c.Listed)
			}
		}
		t.Rows = append(t.Rows, []string{c.Serial, or(c.Use, c.Subject), stamp(c.Revoked), list})
	}
	s.Tables = []Table{t}
	return s
}

func assessment(src Source) Section {
	s := Section{Anchor: "assessment", Heading: "Was data at risk"}
	if a := src.Assessment; a != nil {
		s.Rows = append(s.Rows, Row{"Suggested risk", sentence(or(a.Level, notKnown))})
		if r := lines(a.Reasons...); r != "" {
			s.Rows = append(s.Rows, Row{"Because", r})
		}
		s.Rows = append(s.Rows, Row{"Became aware", known(a.Aware)}, Row{"72 hours end", known(a.Deadline)})
		s.Tables = facts(a.Facts)
	}
	for i, d := range src.Decisions {
		label := "Decision " + strconv.Itoa(i+1)
		if len(src.Decisions) == 1 {
			label = "Decision"
		}
		s.Rows = append(s.Rows, Row{label, decision(d)})
	}
	if len(src.Decisions) == 0 {
		s.Rows = append(s.Rows, Row{"Decision", sentence(decided(src))})
	}
	return s
}

func facts(all []Fact) []Table {
	if len(all) == 0 {
		return nil
	}
	t := Table{Head: []string{"Question", "What is known", "As of"}, Shares: []int{34, 42, 24}}
	for _, f := range all {
		value, at := sentence(notKnown), ""
		if f.Known {
			value, at = sentence(or(f.Value, notKnown)), sentence(known(f.At))
		}
		t.Rows = append(t.Rows, []string{f.Name, value, at})
	}
	return []Table{t}
}

// decided says the decision that counts in one line.
func decided(src Source) string {
	if n := len(src.Decisions); n > 0 {
		d := src.Decisions[n-1]
		return verdict(d) + ", decided by " + who(d.By) + " at " + stamp(d.At)
	}
	if src.Assessment != nil && !src.Assessment.Deadline.IsZero() {
		if src.MadeAt.After(src.Assessment.Deadline) {
			return "not decided; the 72 hours ended at " + stamp(src.Assessment.Deadline)
		}
		return "not decided; the 72 hours end at " + stamp(src.Assessment.Deadline)
	}
	return "not decided"
}

func verdict(d Decision) string {
	if d.Reportable {
		return "to be reported to the regulator"
	}
	return "not to be reported to the regulator"
}

func decision(d Decision) string {
	suggested := ""
	if d.Level != "" {
		suggested = "The suggested risk was " + d.Level + " at that time."
	}
	return lines(sentence(verdict(d))+". "+who(d.By)+", "+stamp(d.At), suggested, d.Reasoning, d.Reference, d.Link)
}

// timeline leaves out the commands, which have their own table.
func timeline(all []Event) Section {
	s := Section{Anchor: "timeline", Heading: "What happened"}
	t := Table{Head: []string{"When", "What", "Who"}, Shares: []int{22, 56, 22}}
	var f fold
	for _, e := range all {
		if e.Kind != "command" {
			f.add(e.Kind+"\x00"+who(e.By), []string{stamp(e.At), or(e.Text, sentence(e.Kind)), who(e.By)})
		}
	}
	if t.Rows = f.rows(); len(t.Rows) > 0 {
		s.Tables = []Table{t}
	}
	return s
}

// positions groups the entries by what was done.
func positions(a Audit) Section {
	s := Section{Anchor: "audit", Heading: "Positions in the audit log"}
	if a.Problem != "" {
		s.Text = []string{"The log could not be proven when this file was made: " + a.Problem}
		return s
	}
	s.Rows = []Row{{"Log", a.Origin}, {"Checkpoint", fmt.Sprintf("Of %s; root %s", plural(int(a.Size), "entry", "entries"), root(a.Checkpoint))}}
	if n := len(a.Pending); n > 0 {
		s.Rows = append(s.Rows, Row{"No position yet", plural(n, "entry", "entries") + "; make the file again in a moment"})
	}
	at, damaged := map[string][]int64{}, []int64{}
	var actions []string
	for _, e := range a.Entries {
		if at[e.Action] == nil {
			actions = append(actions, e.Action)
		}
		at[e.Action] = append(at[e.Action], e.Index)
		if e.Damaged {
			damaged = append(damaged, e.Index)
		}
	}
	if len(damaged) > 0 {
		s.Rows = append(s.Rows, Row{"Altered since", "The entries at " + ranges(damaged) + " are not what was written"})
	}
	t := Table{Head: []string{"Deed", "Positions"}, Shares: []int{35, 65}}
	for _, x := range actions {
		t.Rows = append(t.Rows, []string{x, ranges(at[x])})
	}
	if len(t.Rows) > 0 {
		s.Tables = []Table{t}
	}
	s.Notes = []string{"The JSON pack holds each entry with its Merkle proof. It and the signature beside this document can be checked without the server."}
	return s
}

// root is the third line of a checkpoint.
func root(checkpoint string) string {
	if l := strings.SplitN(checkpoint, "\n", 4); len(l) == 4 {
		return l[2]
	}
	return notKnown
}

// ranges writes ascending positions as "3 to 5, 9".
func ranges(at []int64) string {
	var parts []string
	for i := 0; i < len(at); {
		j := i
		for j+1 < len(at) && at[j+1] == at[j]+1 {
			j++
		}
		text := strconv.FormatInt(at[i], 10)
		if j > i {
			text += " to " + strconv.FormatInt(at[j], 10)
		}
		parts = append(parts, text)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}

// lines joins what is not empty.
func lines(all ...string) string {
	return strings.Join(slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "" }), "\n")
}

// anchor keeps what may stand in an anchor.
func anchor(id string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' {
			return r
		}
		return '-'
	}, strings.ToLower(id))
}

// fold collects the rows of a table and draws long runs of the same kind together, so that
// sixteen locations in four hours do not fill a page. The pack has them all.
type fold struct{ runs []run }

type run struct {
	key  string
	rows [][]string
}

// runShown is how long a run may be before it is folded.
const runShown = 4

func (f *fold) add(key string, row []string) {
	if n := len(f.runs); n > 0 && f.runs[n-1].key == key {
		f.runs[n-1].rows = append(f.runs[n-1].rows, row)
		return
	}
	f.runs = append(f.runs, run{key, [][]string{row}})
}

func (f *fold) rows() [][]string {
	var out [][]string
	for _, r := range f.runs {
		n := len(r.rows)
		if n <= runShown {
			out = append(out, r.rows...)
			continue
		}
		between := make([]string, len(r.rows[0]))
		between[0] = fmt.Sprintf("%d more like these", n-2)
		out = append(out, r.rows[0], between, r.rows[n-1])
	}
	return out
}
