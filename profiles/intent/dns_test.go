package intent_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wardmdm/ward/profiles/intent"
)

func TestAsked(t *testing.T) {
	t.Parallel()
	names := []string{"g.whatsapp.net", "notwhatsapp.net", "whatsapp.net"}
	for _, tt := range []struct {
		name string
		dns  intent.DNS
		want []string
	}{
		{"no resolver", intent.DNS{}, nil},
		{"all names", intent.DNS{Name: "D"}, names},
		{"a domain and what is beneath it", intent.DNS{Name: "D", Only: []string{"example.org", "whatsapp.net"}}, []string{"g.whatsapp.net", "whatsapp.net"}},
		{"a name beneath alone", intent.DNS{Name: "D", Only: []string{"g.whatsapp.net"}}, []string{"g.whatsapp.net"}},
	} {
		if diff := cmp.Diff(tt.want, tt.dns.Asked(names)); diff != "" {
			t.Errorf("%s: Asked mismatch (-want +got):\n%s", tt.name, diff)
		}
	}
}
