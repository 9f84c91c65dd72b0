package server

import (
	"context"
	"net/http"
	"slices"

	"github.com/wardmdm/ward"
	"github.com/wardmdm/ward/server/ca"
)

// tpmHandler returns what the TPMs of workstations prove themselves to: see ca.TPM. A TPM
// is believed by the list of devices alone, and only with a challenge that is for one.
func (s *Server) tpmHandler() (http.Handler, error) {
	t, err := s.Authority.TPM(ca.TPMOptions{Store: s.db.Activations(), Registered: s.registeredTPM})
	if err != nil {
		return nil, err
	}
	return t.Handler(), nil
}

// registeredTPM reports whether somebody has put a workstation into the list of devices with
// the name of its TPM as its serial number. Serial numbers of phones and Macs don't count:
// they may be what the device said of itself.
func (s *Server) registeredTPM(ctx context.Context, ek string) (bool, error) {
	all, err := s.fleet.DevicesBySerial(ctx, ek)
	return slices.ContainsFunc(all, func(d ward.Device) bool { return d.Platform == ward.Windows || d.Platform == ward.Linux }), err
}
