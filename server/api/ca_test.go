package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/api"
)

// register is a small authority: 250 certificates of apps, and one by which a device is
// managed.
type register struct {
	now   func() time.Time
	asked []api.CertificateFilter
}

func (r *register) Status(context.Context) (api.AuthorityStatus, error) {
	warned := 7
	return api.AuthorityStatus{
		Certificates: []api.AuthorityCertificate{{Name: "issuer", NotAfter: r.now().AddDate(0, 0, 5), DaysLeft: 5, Warning: &warned, Signs: true}},
		Counts:       []api.CertificateCount{{Issuer: 1, Kind: "app", Valid: 250}}, Lists: []api.RevocationList{{Issuer: 1, Number: 3}},
	}, nil
}

func (r *register) Certificates(_ context.Context, f api.CertificateFilter) (out []api.IssuedCertificate, err error) {
	r.asked = append(r.asked, f)
	next := 250
	if f.After != "" {
		if _, err := fmt.Sscan(f.After, &next); err != nil {
			return nil, nil
		}
		next--
	}
	for ; next > 0 && len(out) < f.Limit; next-- {
		out = append(out, api.IssuedCertificate{Serial: fmt.Sprint(next), Kind: "app", Device: f.Device})
	}
	return out, nil
}

func (r *register) Revoke(_ context.Context, v api.CertificateRevocation) (api.IssuedCertificate, error) {
	if v.Serial == "1" && !v.Retire {
		return api.IssuedCertificate{}, ward.Errorf(ward.Conflict, "A device is managed by this certificate.")
	}
	at := r.now()
	return api.IssuedCertificate{Serial: v.Serial, Kind: "app", RevokedAt: &at, Reason: v.Reason}, nil
}

func (r *register) RemakeLists(context.Context) ([]api.RevocationList, error) {
	return []api.RevocationList{{Issuer: 1, Number: 4}}, nil
}

func (r *register) WriteList(_ context.Context, issuer int, w io.Writer) error {
	if issuer != 1 {
		return ward.Errorf(ward.NotFound, "There is no issuer %d.", issuer)
	}
	_, err := w.Write([]byte{0x30, 0})
	return err
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, admin := w.person("Alex", ward.RoleAdmin)
	_, auditor := w.person("Audrey", ward.RoleAuditor)
	w.phone("dev-1")

	var status api.AuthorityStatus
	w.ok(200, auditor, get, "/ca", nil, &status)
	if len(status.Certificates) != 1 || status.Certificates[0].Warning == nil || *status.Certificates[0].Warning != 7 || status.Counts[0].Valid != 250 {
		t.Errorf("status = %+v", status)
	}
	serials := map[string]bool{}
	for after := ""; ; {
		var l api.List[api.IssuedCertificate]
		w.ok(200, auditor, get, "/ca/certificates?limit=100&device=S-dev-1&kind=app&expiring=30&revoked=true&after="+after, nil, &l)
		for _, c := range l.Items {
			serials[c.Serial] = true
		}
		if after = l.Next; after == "" {
			break
		}
	}
	if len(serials) != 250 {
		t.Errorf("the pages held %d certificates, want each of 250", len(serials))
	}
	want := api.CertificateFilter{Device: "dev-1", Kind: "app", Expiring: 30, Revoked: true, Limit: 100}
	if diff := cmp.Diff(want, w.register.asked[0]); diff != "" {
		t.Errorf("filter mismatch (-want +got):\n%s", diff)
	}
	var d api.DeviceDetail
	w.ok(200, admin, get, "/devices/dev-1", nil, &d)
	if len(d.Certificates) != 50 || d.Certificates[0].Serial != "250" {
		t.Errorf("the device shows %d certificates", len(d.Certificates))
	}

	body := map[string]any{"reason": "key-compromise", "why": "seen elsewhere"}
	var c api.IssuedCertificate
	w.ok(200, admin, post, "/ca/certificates/17/revoke", body, &c)
	if c.RevokedAt == nil || c.Reason != "key-compromise" {
		t.Errorf("revoked = %+v", c)
	}
	w.problem(403, auditor, post, "/ca/certificates/17/revoke", body)
	w.problem(409, admin, post, "/ca/certificates/1/revoke", body)
	w.problem(400, admin, post, "/ca/certificates/17/revoke", map[string]any{"reason": "boredom"})
	w.problem(400, admin, post, "/ca/certificates/17/revoke", map[string]any{})
	var lists api.RevocationLists
	w.ok(200, admin, post, "/ca/crl", nil, &lists)
	w.problem(403, auditor, post, "/ca/crl", nil)
	if len(lists.Items) != 1 || lists.Items[0].Number != 4 {
		t.Errorf("lists = %+v", lists)
	}
	if out := w.do(auditor, get, "/ca/crl/1", nil); out.Code != http.StatusOK || out.Header().Get("Content-Type") != "application/pkix-crl" || out.Body.Len() != 2 {
		t.Errorf("GET the list = %d, %s, %d bytes", out.Code, out.Header().Get("Content-Type"), out.Body.Len())
	}
	w.problem(404, auditor, get, "/ca/crl/9", nil)
	w.problem(400, auditor, get, "/ca/certificates?kind=root", nil)
}
