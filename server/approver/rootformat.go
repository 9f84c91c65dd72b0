package approver

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// formatRoot writes the file as people can read it, the same for the same content.
func formatRoot(t Trusted) ([]byte, error) {
	out := rootJSON{Version: rootVersion, Founders: []founderJSON{}, NonceKey: t.Key}
	for hash, f := range t.Founders {
		out.Founders = append(out.Founders, founderJSON{hash, f.ID, f.Name, f.Subject, f.At.UTC()})
	}
	slices.SortFunc(out.Founders, func(a, b founderJSON) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Hash, b.Hash))
	})
	for _, id := range slices.Sorted(maps.Keys(t.Ended)) {
		out.Ended = append(out.Ended, endedJSON{id, t.Ended[id].UTC()})
	}
	if len(t.Glass.Public) > 0 {
		out.Glass = &glassJSON{t.Glass.Public, t.Glass.At.UTC()}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(out); err != nil {
		return nil, fmt.Errorf("first approvers: %w", err)
	}
	return b.Bytes(), nil
}
