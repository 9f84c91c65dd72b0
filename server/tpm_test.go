package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/enrollment"
)

// TestRegisteredTPM: a TPM is registered by a workstation that somebody listed, and by no
// phone that says that this is its serial number.
func TestRegisteredTPM(t *testing.T) {
	both(t, func(t *testing.T, url string) {
		w := start(t, url, nil)
		for ek, p := range map[string]ward.Platform{"ek:01": ward.Linux, "ek:02": ward.Windows, "ek:03": ward.IOS, "ek:04": ward.MacOS} {
			d := ward.Device{ID: ward.DeviceID("dev_" + ek[3:]), Serial: ek, Platform: p, Ownership: ward.Corporate, State: ward.Invited, Created: w.clock.now()}
			if err := w.fleet.InsertDevice(w.ctx, d); err != nil {
				t.Fatal(err)
			}
			want := p == ward.Linux || p == ward.Windows
			if got, err := w.registeredTPM(w.ctx, ek); err != nil || got != want {
				t.Errorf("registeredTPM(%s) of %s = %t, %v; want %t", ek, p, got, err, want)
			}
		}
		if got, err := w.registeredTPM(w.ctx, "ek:05"); err != nil || got {
			t.Errorf("registeredTPM of nobody = %t, %v", got, err)
		}
	})
}

// TestTPMHandlerRefuses: the challenges of phones are not good for a workstation's TPM.
func TestTPMHandlerRefuses(t *testing.T) {
	t.Parallel()
	w := start(t, "", nil)
	h, err := w.tpmHandler()
	if err != nil {
		t.Fatal(err)
	}
	challenge := w.challenge(t, w.invite(t, ward.Corporate, func(r *enrollment.Request) { r.Platform = ward.IOS }).Token)
	for name, path := range map[string]string{"a phone's": challenge, "nobody's": "unknown"} {
		for _, what := range []string{"attest", "secret"} {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/tpm/"+path+"/"+what, strings.NewReader("{}")))
			var p struct{ Kind ward.Kind }
			if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || (p.Kind != ward.Forbidden && p.Kind != ward.NotFound) {
				t.Errorf("%s challenge, %s: %d %s", name, what, rec.Code, rec.Body)
			}
		}
	}
}
