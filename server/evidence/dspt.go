package evidence

import (
	"context"
	"fmt"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/compliance"
	"github.com/wardmdm/ward/server/estate"
	"github.com/wardmdm/ward/server/lost"
	"github.com/wardmdm/ward/server/report"
)

// standing is what both maps count of the present devices.
type standing struct {
	snap                                       *estate.Snapshot
	managed, supervised, personal, corporate   int
	unencrypted, noPasscode, old, unknown, bad int
	lost, retired, never                       int
}

func (s *Service) standing(ctx context.Context, at time.Time) (out standing, err error) {
	if out.snap, err = s.snapshot(ctx, at); err != nil {
		return out, err
	}
	for _, d := range out.snap.Devices {
		switch {
		case d.State == compliance.Retired:
			out.retired++
			continue
		case d.Enrolled.IsZero():
			out.never++
			continue
		}
		out.managed += one(d.Managed)
		out.supervised += one(d.Supervised == ward.Supervised)
		out.personal += one(d.Ownership == ward.Personal)
		out.corporate += one(d.Ownership == ward.Corporate)
		out.unknown += one(d.State == compliance.Unknown)
		out.bad += one(d.State == compliance.NonCompliant)
		out.lost += one(d.State == compliance.Lost)
		codes := map[string]bool{}
		for _, f := range d.Findings {
			codes[f.Code] = true
		}
		out.unencrypted += one(codes["not-encrypted"])
		out.noPasscode += one(codes["no-passcode"] || codes["weak-passcode"])
		out.old += one(codes[codeOld])
	}
	return out, nil
}

func (t standing) devices() int { return t.personal + t.corporate }

// mapped is one outcome or control: what can be shown, and what can't.
type mapped struct {
	name, asks string
	shows      []report.Fact
	cannot     string
}

func (x mapped) section() report.Section {
	return report.Section{
		Heading: x.name, Text: []string{x.asks}, Facts: append(x.shows, report.Fact{Label: "What Ward cannot show", Value: x.cannot}),
	}
}

// dspt maps what is recorded to outcomes of the Cyber Assessment Framework.
func (s *Service) dspt(ctx context.Context, r Request, out *made) error {
	now, err := s.standing(ctx, r.AsOf)
	if err != nil {
		return err
	}
	year, err := s.yearOf(ctx, out.AsOf)
	if err != nil {
		return err
	}
	out.Says = []string{"outcomes as the Cyber Assessment Framework of the NCSC names them, which the toolkit follows for large organisations"}
	out.Sections = []report.Section{{
		Heading: "How to read this",
		Text: []string{
			"For each outcome this says what Ward has recorded, as of the time above, and what has to come from elsewhere. It says nowhere that an outcome is achieved: that is for the organisation to claim and for its assessor to judge.",
			fmt.Sprintf("In scope here are the %s that Ward knows and that are not retired. Devices that were never enrolled are not seen by Ward at all: compare the list with the asset register.", count(now.devices(), "device", "devices")),
		},
	}}
	for _, x := range dsptMap(now, year) {
		out.Sections = append(out.Sections, x.section())
	}
	return nil
}

// year is what happened in the twelve months before a time.
type year struct {
	cases, locked, erased, drills int
	lastDrill                     time.Time
	versions                      int
	since                         time.Time // of what is recorded
}

func (s *Service) yearOf(ctx context.Context, at time.Time) (y year, err error) {
	from := at.AddDate(-1, 0, 0)
	cases, err := s.casesSince(ctx, from, lost.OnlyReal)
	if err != nil {
		return y, err
	}
	for _, c := range cases {
		if c.Reported.After(at) {
			continue
		}
		f, err := s.Cases.File(ctx, c.ID)
		if err != nil {
			return y, fmt.Errorf("case %s: %w", c.ID, err)
		}
		l := lossOf(c, f)
		y.cases++
		y.locked += one(l.lock >= 0)
		y.erased += one(l.erased)
	}
	drills, err := s.casesSince(ctx, from, lost.OnlyDrills)
	if err != nil {
		return y, err
	}
	for _, c := range drills {
		if !c.Reported.After(at) {
			y.drills++
			if c.Reported.After(y.lastDrill) {
				y.lastDrill = c.Reported
			}
		}
	}
	versions, err := s.Policies.Versions(ctx, 0, 200)
	if err != nil {
		return y, err
	}
	for _, v := range versions {
		y.versions += one(v.Published.After(from) && !v.Published.After(at))
	}
	if y.since, err = s.Estate.Recorded(ctx); err != nil {
		return y, err
	}
	return y, nil
}

func dsptMap(n standing, y year) []mapped {
	drills := count(y.drills, "drill", "drills") + " in the twelve months before"
	if !y.lastDrill.IsZero() {
		drills += ", the last on " + report.Day(y.lastDrill)
	}
	losses := fmt.Sprintf("%s in the twelve months before; %s accepted a lock, %s accepted an erase", count(y.cases, "device was reported lost or stolen", "devices were reported lost or stolen"), report.Thousands(y.locked), report.Thousands(y.erased))
	return []mapped{
		{"B2.b Device management", "Only devices that the organisation owns or manages reach its essential functions.", []report.Fact{
			{Label: "Managed now", Value: share(n.managed, n.devices()) + " (/devices?enrolled=yes)"},
			{Label: "Owned by the organisation", Value: share(n.corporate, n.devices()) + " (/devices?enrolled=yes&ownership=corporate)"},
			{Label: "Supervised", Value: share(n.supervised, n.devices())},
			{Label: "Not known", Value: count(n.unknown, "device has", "devices have") + " not told lately, and not counted as compliant (/devices?enrolled=yes&state=unknown)"},
		}, "whether a device that was never enrolled reaches the organisation's systems: that needs the network, and the conditional access of those systems."},
		{"B3.d Mobile data", "Mobile devices that hold important data are catalogued, under control, configured to good practice, and can be wiped from afar.", []report.Fact{
			{Label: "Catalogue", Value: count(n.devices(), "device", "devices") + " with owner, place, system and last contact (/devices?enrolled=yes&format=csv)"},
			{Label: "Encrypted", Value: count(n.unencrypted, "device tells that it is", "devices tell that they are") + " not encrypted (/devices?enrolled=yes&finding=not-encrypted)"},
			{Label: "Passcode", Value: count(n.noPasscode, "device has", "devices have") + " none, or a weak one (/devices?enrolled=yes&finding=no-passcode)"},
			{Label: "Lost devices", Value: losses + " (/cases)"},
			{Label: "Wiping personal devices", Value: fmt.Sprintf("%s can't be wiped as a whole, by design: leaving management takes away what Ward put there, the work apps and their data with it.", count(n.personal, "personal device", "personal devices"))},
		}, "that a device which has been switched off was wiped: it says “accepted by the device at”, or that it has not been seen since. Nor what data apps keep on a device."},
		{"B3.e Media and equipment sanitisation", "Data is taken off equipment before it is reused or disposed of.", []report.Fact{
			{Label: "Retired devices", Value: count(n.retired, "device", "devices") + " (/devices?state=retired)"},
			{Label: "Proof of an erase", Value: "the signed file of each order: who asked, the two who approved, when the device accepted, and whether it came back fresh (/orders)"},
		}, "certificates of destruction of a disposal firm, and equipment that was never enrolled."},
		{"B4.d Vulnerability management", "Known vulnerabilities are mitigated in time.", []report.Fact{
			{Label: "Below the minimum version", Value: share(n.old, n.devices()) + " (/devices?enrolled=yes&os=old)"},
			{Label: "What the minimum is", Value: "it stands in the policy, with who published it and when (/policies)"},
		}, "vulnerabilities of apps, of servers and of networks; and devices that did not tell their version."},
		{"C1 Security monitoring", "Logs are protected, kept, and looked at.", []report.Fact{
			{Label: "Record of deeds", Value: "every deed of a person or of Ward stands in a Merkle tree with signed checkpoints; ward-verify checks an export without the server (/audit)"},
			{Label: "History of devices", Value: "every change of every device's posture since " + report.Day(y.since) + ", sealed into the same record"},
		}, "who reads the log and how soon: keep checkpoints where the server can't reach them, and record your reviews."},
		{"D1 Response and recovery planning", "Response plans exist and are exercised.", []report.Fact{
			{Label: "Drills", Value: drills + " (/drills)"},
			{Label: "Incidents", Value: losses},
		}, "the plan itself, exercises on paper, and the recovery of other systems."},
	}
}
