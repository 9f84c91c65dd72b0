package web

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/wardmdm/ward"
)

func TestIdentities(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 3, 3, 0, 0, 0, time.UTC)
	until := now.AddDate(0, 0, 7)
	all := []Certificate{
		{Serial: "4", Kind: "app", App: "org.example.chat", Issuer: "CN=Device CA 2", NotAfter: until, LastUsed: now.Add(-2 * time.Minute)},
		{Serial: "3", Kind: "network", Issuer: "CN=Device CA", NotAfter: until, Revoked: now},
		{Serial: "2", Kind: "device", Issuer: "CN=Device CA", NotAfter: until, Manages: true, AttestedBy: "apple", Hardware: "C39ABCDEFG"},
		{Serial: "1", Kind: "device", Issuer: "CN=Device CA", NotAfter: now.Add(-time.Hour)},
	}
	s := &Server{Options: Options{Certificates: func(_ context.Context, d ward.DeviceID) ([]Certificate, error) {
		if d != "d1" {
			return nil, errors.New("another device was asked for")
		}
		return all, nil
	}}}
	got, err := s.identities(t.Context(), "d1", now)
	if err != nil {
		t.Fatal(err)
	}
	week, ended := at(until, now).Exact, at(now.Add(-time.Hour), now).Exact
	want := []holding{
		{tag{"Valid", "good", "check"}, "App org.example.chat", "until " + week + " · from CN=Device CA 2 · key not attested · last used " + at(now.Add(-2*time.Minute), now).Ago + " · serial number 4"},
		{tag{"Revoked", "bad", "cross"}, "Network", "until " + week + " · revoked " + at(now, now).Exact + " · from CN=Device CA · key not attested · serial number 3"},
		{tag{"Valid", "good", "check"}, "Management, in use", "until " + week + " · from CN=Device CA · key attested by Apple: serial C39ABCDEFG · serial number 2"},
		{tag{"Expired", "warn", "clock"}, "Management, earlier", "until " + ended + " · from CN=Device CA · key not attested · serial number 1"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("identities mismatch (-want +got)\n%s", diff)
	}
	if _, err := s.identities(t.Context(), "d2", now); err == nil {
		t.Error("an error of the record was swallowed")
	}
	if none, err := (&Server{}).identities(t.Context(), "d1", now); none != nil || err != nil {
		t.Errorf("without a record = %v, %v", none, err)
	}
}
