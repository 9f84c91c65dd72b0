package casefile_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/casefile"
)

// orderRows returns what the page says of the only order of src: its approvals, and
// whether it is proven.
func orderRows(src casefile.Source) (approvals []string, warned bool) {
	for _, s := range casefile.NewView(src).Sections {
		if !strings.HasPrefix(s.Anchor, "order-") {
			continue
		}
		for _, r := range s.Rows {
			warned = warned || r.Label == "Not proven"
			if strings.HasPrefix(r.Label, "Approval ") {
				approvals = append(approvals, r.Value)
			}
		}
	}
	return approvals, warned
}

// TestUnproven: an approval that the server could not verify is said to be none, on the
// page and in the pack, and the pack shows no key for it.
func TestUnproven(t *testing.T) {
	t.Parallel()
	src := night()
	forged := &src.Orders[0].Approvals[0]
	forged.Proven, forged.Unproven, forged.Name = false, "Whoever signed this is no approver.", "Professor Innocent"
	rows, warned := orderRows(src)
	if len(rows) != 2 || !strings.HasPrefix(rows[0], "Not proven: ") || !strings.Contains(rows[0], "Whoever signed this is no approver.") {
		t.Errorf("the forged approval is told as %q", rows)
	}
	if !strings.Contains(rows[1], "were verified when this file was made") || strings.Contains(rows[1], "Not proven") {
		t.Errorf("the true approval is told as %q", rows[1])
	}
	if !warned {
		t.Error("nothing says that an order by one proven approval is not proven")
	}

	_, n, _ := noteKey(t)
	pack, err := casefile.Render(t.Context(), src, casefile.Options{Note: n})
	if err != nil {
		t.Fatal(err)
	}
	var doc struct{ Payload []byte }
	var p struct {
		Orders []struct{ Approvals []map[string]any }
	}
	if err := json.Unmarshal(pack.JSON, &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(doc.Payload, &p); err != nil {
		t.Fatal(err)
	}
	type said struct{ Proven, Unproven, Key any }
	var got []said
	for _, a := range p.Orders[0].Approvals {
		got = append(got, said{a["proven"], a["unproven"], a["public_key"]})
	}
	want := []said{{false, "Whoever signed this is no approver.", nil}, {true, nil, base64.StdEncoding.EncodeToString([]byte{0xa5})}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("approvals in the pack mismatch (-want +got)\n%s", diff)
	}
	if len(forged.PublicKey) == 0 {
		t.Error("Render changed its caller's source")
	}
}

// TestOrderProven: an order stands as issued only by two proven approvals of it, or by the
// sealed key.
func TestOrderProven(t *testing.T) {
	t.Parallel()
	one, two := approve("per-joel", "Joel", "", at("08:55:40")), approve("per-ama", "Ama", "", at("09:09:58"))
	glass := casefile.Approval{At: one.At, Hash: one.Hash, Glass: true, Proven: true}
	with := func(a casefile.Approval, change func(*casefile.Approval)) casefile.Approval { change(&a); return a }
	for name, tc := range map[string]struct {
		state     string
		approvals []casefile.Approval
		warned    bool
	}{
		"two":                {"issued", []casefile.Approval{one, two}, false},
		"the sealed key":     {"issued", []casefile.Approval{glass}, false},
		"one, not needed":    {"requested", []casefile.Approval{one}, false},
		"none":               {"issued", nil, true},
		"one":                {"approved", []casefile.Approval{one}, true},
		"one twice":          {"issued", []casefile.Approval{one, one}, true},
		"one of another":     {"issued", []casefile.Approval{one, with(two, func(a *casefile.Approval) { a.Hash = "00" })}, true},
		"one not proven":     {"issued", []casefile.Approval{one, with(two, func(a *casefile.Approval) { a.Proven = false })}, true},
		"a false sealed key": {"issued", []casefile.Approval{one, with(glass, func(a *casefile.Approval) { a.Proven = false })}, true},
	} {
		src := casefile.Source{MadeAt: at("18:00:00"), Orders: []casefile.Order{{ID: ward.OrderID("ord-9"), Kind: "erase", State: tc.state, Hash: one.Hash, Approvals: tc.approvals}}}
		if _, warned := orderRows(src); warned != tc.warned {
			t.Errorf("%s: the page warns: %t, want %t", name, warned, tc.warned)
		}
	}
}
