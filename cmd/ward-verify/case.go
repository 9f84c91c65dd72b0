package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/wardmdm/ward/server/audit/verify"
)

// checkCase verifies the file of a case. It returns the result for machines and for
// people.
func checkCase(a arguments, stdin io.Reader) (any, string, error) {
	var o verify.CaseOptions
	var err error
	if o.PublicKey, o.Earlier, err = a.held(); err != nil {
		return nil, "", err
	}
	if a.pdf != "" {
		if o.PDF, err = os.ReadFile(a.pdf); err != nil {
			return nil, "", fmt.Errorf("read the PDF: %w", err)
		}
	}
	if a.log != "" {
		f, err := open(a.log, "export", stdin)
		if err != nil {
			return nil, "", err
		}
		defer f.Close()
		o.Log = f
	}
	f, err := open(a.file, "file of the case", stdin)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	report, err := verify.VerifyCase(f, o)
	if err != nil {
		return nil, "", err
	}
	return caseResultOf(report, o.Log != nil), caseText(report, o.Log != nil), nil
}

// caseResult is what --json prints of the file of a case.
type caseResult struct {
	Verified     bool           `json:"verified"`
	Log          string         `json:"log"`
	ID           string         `json:"id"`
	Organisation string         `json:"organisation,omitempty"`
	Made         time.Time      `json:"made_at"`
	Sum          string         `json:"payload_sha256"`
	PDF          bool           `json:"pdf"`
	Size         int64          `json:"size"`
	Root         string         `json:"root"`
	Earlier      []int64        `json:"earlier,omitempty"`
	LogChecked   bool           `json:"log_checked"`
	Entries      []caseEntry    `json:"entries"`
	Disclosed    int            `json:"disclosed"`
	Sealed       int            `json:"sealed"`
	Pending      int            `json:"pending"`
	Approvals    []caseApproval `json:"approvals"`
	Kind         string         `json:"kind"`
	Changes      []caseChange   `json:"changes,omitempty"`
}

type caseChange struct {
	Device  string          `json:"device"`
	At      time.Time       `json:"at"`
	Posture json.RawMessage `json:"posture,omitempty"`
	Seal    string          `json:"seal"`
	Linked  bool            `json:"linked"`
}

type caseEntry struct {
	Index   int64     `json:"index"`
	At      time.Time `json:"at"`
	Action  string    `json:"action"`
	Subject string    `json:"subject,omitempty"`
	Actor   string    `json:"actor,omitempty"`
}

type caseApproval struct {
	Order    string `json:"order"`
	Name     string `json:"name,omitempty"`
	Glass    bool   `json:"glass,omitempty"`
	Holds    bool   `json:"holds"`
	Unproven string `json:"unproven,omitempty"`
}

func caseResultOf(r verify.CaseReport, withLog bool) caseResult {
	out := caseResult{
		Verified: true, Log: r.Log, ID: r.ID, Organisation: r.Organisation, Made: r.Made, Sum: r.Sum, PDF: r.PDF, Size: r.Size, Root: r.Root.String(),
		Earlier: r.Earlier, LogChecked: withLog, Entries: []caseEntry{}, Disclosed: r.Disclosed, Sealed: r.Sealed, Pending: r.Pending, Approvals: []caseApproval{}, Kind: r.Kind,
	}
	for _, c := range r.Changes {
		out.Changes = append(out.Changes, caseChange{c.Device, c.At, c.Body, c.Seal, c.Linked})
	}
	for _, e := range r.Entries {
		out.Entries = append(out.Entries, caseEntry(e))
	}
	for _, a := range r.Approvals {
		out.Approvals = append(out.Approvals, caseApproval(a))
	}
	return out
}

// caseText says in plain words what was verified and what was not. What the file says is
// quoted where a hostile one could write over the terminal.
func caseText(r verify.CaseReport, withLog bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Verified: the %s %q is as %s signed it, and what it shows of the audit log stands there.\n\n", map[string]string{"case": "file of", "report": "report"}[r.Kind], r.ID, r.Log)
	fmt.Fprintf(&b, "  made       %s, for %q\n", r.Made.Format(time.RFC3339), r.Organisation)
	fmt.Fprintf(&b, "  content    SHA-256 %s\n", r.Sum)
	if r.PDF {
		b.WriteString("  PDF        it is the one that belongs to the file\n")
	} else {
		b.WriteString("  PDF        not checked: none was given\n")
	}
	fmt.Fprintf(&b, "  log        %d entries, root %s\n", r.Size, r.Root)
	for _, size := range r.Earlier {
		fmt.Fprintf(&b, "  earlier    checkpoint of size %d: it is of the same log, and nothing was altered between\n", size)
	}
	if withLog {
		b.WriteString("  export     whole, and the file's checkpoint is of it\n")
	}
	fmt.Fprintf(&b, "  shown      %d parts as they were committed to, %d not shown (erased)\n", r.Disclosed, r.Sealed)
	fmt.Fprintf(&b, "\nEntries of the log (%d):\n", len(r.Entries))
	for _, e := range r.Entries {
		fmt.Fprintf(&b, "  %6d  %s  %-28s %s\n", e.Index, e.At.Format(time.RFC3339), printable(e.Action), printable(strings.TrimSpace(e.Subject+"  "+e.Actor)))
	}
	if len(r.Approvals) > 0 {
		b.WriteString("\nApprovals:\n")
	}
	for _, a := range r.Approvals {
		who, how := printable(a.Name), "proven by the server, and the signature over the order holds"
		if a.Glass {
			who = "the sealed key"
		}
		if !a.Holds {
			how = "NOT PROVEN: " + printable(a.Unproven)
		}
		fmt.Fprintf(&b, "  %s  %s: %s\n", printable(a.Order), who, how)
	}
	b.WriteString(caseChanges(r))
	b.WriteString(caseLimits(r, withLog))
	return b.String()
}

// caseChanges lists the changes of devices that were proven.
func caseChanges(r verify.CaseReport) string {
	if len(r.Changes) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\nChanges of devices, sealed into the log and not altered since (%d):\n", len(r.Changes))
	for _, c := range r.Changes {
		linked := ""
		if c.Linked {
			linked = "  (the next change is shown too: none was left out between)"
		}
		fmt.Fprintf(&b, "  %s  %s  %s%s\n", c.At.Format(time.RFC3339), printable(c.Device), printable(string(c.Body)), linked)
	}
	return b.String()
}

// caseLimits says what is not proven.
func caseLimits(r verify.CaseReport, withLog bool) string {
	var b strings.Builder
	b.WriteString("\nThe rest of the file is the word of the server that signed it.")
	if len(r.Approvals) > 0 {
		b.WriteString(" So is whose key each approval was signed with.")
	}
	b.WriteString("\n")
	if r.Pending > 0 {
		fmt.Fprintf(&b, "%d entries had no position in the log yet when the file was made: nothing is proven of them.\n", r.Pending)
	}
	if len(r.Earlier) == 0 && !withLog {
		b.WriteString("No earlier checkpoint was given, so the server may have shown another log to others: keep checkpoints elsewhere and check against them.\n")
	}
	return b.String()
}

// printable leaves out what could move the cursor or colour the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}
