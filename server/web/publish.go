package web

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/policy"
)

// publishSegment is the form that publishes a draft, by the rules that hold for the
// command line too.
func publishSegment(d policyDraft, p policy.Plan) segment {
	second := "It comes into force when you publish it."
	submit := "Publish"
	if p.SecondPerson {
		second, submit = "So many devices change that a second person has to approve it: publishing makes a proposal.", "Propose"
	}
	yes := func(no, text string, on bool) []optionView {
		return []optionView{{"no", no, !on}, {"yes", text, on}}
	}
	return segment{Anchor: "publish", Title: "Publish it", Text: []string{second}, Forms: []formView{{
		Action: "/policies/publish", Upload: true, Submit: submit,
		Hidden: append(fileFields(d.Files), hiddenField{"text", d.Text}, hiddenField{"base", strconv.FormatInt(p.Base, 10)}),
		Fields: []fieldView{
			{Name: "reason", Label: "Why it is published", Hint: "An approver reads it, and it stands in the audit log.", Value: d.Reason, Max: 2000},
			{Name: "canary", Label: "Groups that get it first", Hint: "Names of wards or teams, with commas between them; empty for none.", Value: d.Canary},
			{Name: "percent", Label: "Then so many of a hundred", Hint: "Such as 10, 50, 100; empty for every device at once.", Value: d.Percent},
			{Name: "pause", Label: "Minutes between rings", Hint: fmt.Sprintf("How long a ring is watched; %d where empty.", int(policy.DefaultPause/time.Minute)), Value: d.Pause},
			{Name: "stop_at", Label: "Stop at so many failures of a hundred", Hint: "5 where empty.", Value: d.StopAt},
			{Name: "replace", Label: "Rollout under way", Options: yes("Let it finish: don’t publish beside it", "Take its place", d.Replace), Required: true},
			{Name: "sure", Label: "You have read what would change", Options: yes("Not yet", fmt.Sprintf("Yes: %s of %d", plural(p.Changed, "device"), p.Devices), d.Sure), Required: true},
		},
	}}}
}

// publish is POST /policies/publish.
func (s *Server) publish(w http.ResponseWriter, r *http.Request) error {
	d, err := readDraft(r)
	if err != nil {
		return err
	}
	v, at, err := s.submit(r, d)
	if err != nil {
		page, planErr := s.planSheet(r, d)
		if planErr != nil {
			page, err, at = s.planView(d), planErr, "text"
		}
		return again(s, w, r, s.pages.sheet, page, err, at)
	}
	switch v.State {
	case policy.Proposed:
		s.flash(r, "Generation %d is proposed. A second person approves it here, or with: ward policy approve %d", v.Generation, v.Generation)
	case policy.Rolling:
		s.flash(r, "Generation %d is being rolled out: %s.%s", v.Generation, ringsWords(v.Rings), told(v))
		return see(w, r, "/rollouts")
	default:
		s.flash(r, "Generation %d is in force.%s", v.Generation, told(v))
	}
	return see(w, r, versionAddress(v.Generation))
}

func told(v policy.Version) string {
	if len(v.Told) == 0 {
		return ""
	}
	return " " + strings.Join(v.Told, " ")
}

// submit gives a draft to the policy's own rules; at is the field that is wrong.
func (s *Server) submit(r *http.Request, d policyDraft) (v policy.Version, at string, err error) {
	if !d.Sure {
		return v, "sure", ward.Errorf(ward.Invalid, "Read what would change, then say so.")
	}
	_, base, err := s.current(r.Context())
	if err != nil {
		return v, "", err
	}
	if seen, err := strconv.ParseInt(field(r, "base"), 10, 64); err != nil || seen != base {
		return v, "sure", ward.Errorf(ward.Conflict, "Another version came into force since this was planned. The plan below is new: read it again.")
	}
	rings, at, err := readRings(d)
	if err != nil {
		return v, at, err
	}
	v, err = s.Rules.Policy.Submit(r.Context(), policy.Draft{Text: []byte(d.Text), Files: d.Files, Reason: d.Reason, Rings: rings, Replace: d.Replace})
	return v, "text", err
}

// readRings reads how a version is to reach the fleet.
func readRings(d policyDraft) (out policy.Rings, at string, err error) {
	for g := range strings.SplitSeq(d.Canary, ",") {
		if g = strings.TrimSpace(g); g != "" {
			out.Canary = append(out.Canary, g)
		}
	}
	for _, w := range strings.FieldsFunc(d.Percent, func(c rune) bool { return c == ',' || c == ' ' }) {
		n, err := strconv.Atoi(strings.TrimSuffix(w, "%"))
		if err != nil {
			return out, "percent", ward.Errorf(ward.Invalid, "Then so many of a hundred: %q is no whole number.", w)
		}
		out.Percent = append(out.Percent, n)
	}
	if len(out.Canary)+len(out.Percent) > 0 {
		out.Pause = policy.DefaultPause
	}
	if d.Pause != "" {
		n, err := strconv.Atoi(d.Pause)
		if err != nil || n < 0 || n > 60*24*365 {
			return out, "pause", ward.Errorf(ward.Invalid, "Minutes between rings: give a whole number, 30 days at most.")
		}
		out.Pause = time.Duration(n) * time.Minute
	}
	if d.StopAt != "" {
		n, err := strconv.ParseFloat(d.StopAt, 64)
		if err != nil || !(n >= 0 && n <= 100) {
			return out, "stop_at", ward.Errorf(ward.Invalid, "Stop at so many failures: give a number from 0 to 100.")
		}
		out.StopAt = n / 100
	}
	return out, "", nil
}

// approveVersion is POST /policies/{version}/approve.
func (s *Server) approveVersion(w http.ResponseWriter, r *http.Request) error {
	v, err := s.generation(r)
	if err != nil {
		return err
	}
	done, err := s.Rules.Policy.Approve(r.Context(), v.Generation, field(r, "digest"))
	if err != nil {
		return s.versionAgain(w, r, v, err, "")
	}
	s.flash(r, "Generation %d is approved, and holds: %s.", done.Generation, ringsWords(done.Rings))
	return see(w, r, versionAddress(v.Generation))
}

// withdrawVersion is POST /policies/{version}/withdraw.
func (s *Server) withdrawVersion(w http.ResponseWriter, r *http.Request) error {
	v, err := s.generation(r)
	if err != nil {
		return err
	}
	if _, err := s.Rules.Policy.Withdraw(r.Context(), v.Generation, field(r, "reason")); err != nil {
		return s.versionAgain(w, r, v, err, "reason")
	}
	s.flash(r, "Generation %d is withdrawn.", v.Generation)
	return see(w, r, versionAddress(v.Generation))
}

// versionAgain shows a version once more with what is wrong.
func (s *Server) versionAgain(w http.ResponseWriter, r *http.Request, v policy.Version, err error, at string) error {
	page, viewErr := s.versionView(r, v)
	if viewErr != nil {
		return viewErr
	}
	return again(s, w, r, s.pages.sheet, page, err, at)
}
