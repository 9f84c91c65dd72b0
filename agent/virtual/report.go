package virtual

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// statusReport is a report that is ready, with what the server knows once it has it.
type statusReport struct {
	body     []byte
	reported map[string]string
	told     map[string]map[string]string
}

// statusErrors is the name under which reported keeps the errors that were told.
const statusErrors = "\x00errors"

// subscribed returns the status items that the server gets: those it subscribed to and
// has on this device, and the two that are always sent. missing are those that the
// device does not have. Source: Apple, StatusManagementClientCapabilities; the state of
// declarations is sent without a subscription too.
func (b *body) subscribed() (items, missing []string) {
	items = []string{"management.client-capabilities", "management.declarations"}
	for _, d := range b.inForce(typeSubscriptions) {
		list, _ := d.payload["StatusItems"].([]any)
		for _, v := range list {
			m, _ := v.(map[string]any)
			name, _ := m["Name"].(string)
			to := &items
			if !b.hasStatus(name) {
				to = &missing
			}
			if !slices.Contains(*to, name) {
				*to = append(*to, name)
			}
		}
	}
	slices.Sort(missing)
	return items, missing
}

// report makes the next status report: everything if full, and otherwise what has changed
// since the last; nil for nothing. The caller holds b.mu.
func (b *body) report(full bool) (*statusReport, error) {
	r := &statusReport{reported: map[string]string{}, told: map[string]map[string]string{}}
	items, missing := b.subscribed()
	tree, some := map[string]any{}, full
	for _, name := range items {
		v, ok := b.statusItem(name)
		if !ok {
			continue
		}
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("status item %s: %w", name, err)
		}
		r.reported[name] = string(raw)
		list, isList := v.([]any)
		if isList {
			if list, r.told[name], err = news(list, b.ddm.told[name], full); err != nil {
				return nil, err
			}
			v = list
		}
		if old, known := b.ddm.reported[name]; full || !known || old != string(raw) {
			hang(tree, name, v)
			some = true
		}
	}
	errs := []any{}
	for _, name := range missing {
		errs = append(errs, map[string]any{"StatusItem": name, "Reasons": []Reason{{Code: reasonUnknown, Description: "The device has no such status item."}}})
	}
	r.reported[statusErrors] = strings.Join(missing, "\n")
	some = some || r.reported[statusErrors] != b.ddm.reported[statusErrors]
	if !some {
		return nil, nil //nolint:nilnil // nothing to report is no error
	}
	top := map[string]any{"StatusItems": tree, "Errors": errs}
	if full && b.since("17.0", "14.0") {
		top["FullReport"] = true
	}
	var err error
	if r.body, err = json.Marshal(top); err != nil {
		return nil, fmt.Errorf("status report: %w", err)
	}
	return r, nil
}

// news returns the entries of a list that the server does not know as they are, with a
// note of those that are gone; and what it knows then.
// Source: Apple, status items that are lists, _removed.
func news(list []any, old map[string]string, full bool) ([]any, map[string]string, error) {
	out, now := []any{}, map[string]string{}
	for _, v := range list {
		m, _ := v.(map[string]any)
		id, _ := m["identifier"].(string)
		raw, err := json.Marshal(m)
		if err != nil {
			return nil, nil, fmt.Errorf("status of %s: %w", id, err)
		}
		now[id] = string(raw)
		if full || old[id] != now[id] {
			out = append(out, v)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(old)) {
		if _, there := now[id]; !there && !full {
			out = append(out, map[string]any{"identifier": id, "_removed": true})
		}
	}
	return out, now, nil
}

// hang puts a value into a tree at a name whose dots divide the branches.
func hang(tree map[string]any, name string, v any) {
	parts := strings.Split(name, ".")
	for _, p := range parts[:len(parts)-1] {
		branch, ok := tree[p].(map[string]any)
		if !ok {
			branch = map[string]any{}
			tree[p] = branch
		}
		tree = branch
	}
	tree[parts[len(parts)-1]] = v
}
