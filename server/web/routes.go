package web

import "github.com/wardmdm/ward/server/access"

// What a route needs when it needs no permission.
const (
	anyone   access.Permission = "anyone"
	signedIn access.Permission = "signed in"
)

// route is one page or deed and what one must be allowed to do to reach it.
type route struct {
	pattern string
	needs   access.Permission // or anyone, or signedIn
	handle  handler
}

func (s *Server) routes() []route {
	return []route{
		{"/", anyone, s.unknown},
		{"GET /{$}", signedIn, s.home},
		{"GET /staff", anyone, s.staff}, // what home screens link to: source.Policy staff_page

		{"GET /signin", anyone, s.signInForm},
		{"POST /signin", anyone, s.signIn},
		{"GET /setup/{secret}", anyone, s.linkPage},
		{"POST /setup/{secret}", anyone, s.redeem},
		{"GET /signin/{secret}", anyone, s.linkPage},
		{"POST /signin/{secret}", anyone, s.redeem},
		{"POST /signout", signedIn, s.signOut},
		{"GET /passphrase", signedIn, s.passphraseForm},
		{"POST /passphrase", signedIn, s.setPassphrase},

		{"GET /devices", access.DeviceRead, s.devices},
		{"GET /devices/{id}", access.DeviceRead, s.device},
		{"GET /devices/{id}/lost", access.DeviceLost, s.lostForm},
		{"POST /devices/{id}/lost", access.DeviceLost, s.reportLost},
		{"GET /devices/{id}/found", access.DeviceLost, s.foundForm},
		{"POST /devices/{id}/found", access.DeviceLost, s.found},
		{"GET /devices/{id}/lock", access.DeviceLock, s.lockForm},
		{"POST /devices/{id}/lock", access.DeviceLock, s.lock},
		{"POST /devices/{id}/refresh", access.DeviceRefresh, s.refresh},
		{"POST /devices/{id}/location", access.LocationRead, s.location},
		{"GET /devices/{id}/erase", access.OrderRequest, s.eraseForm},
		{"POST /devices/{id}/erase", access.OrderRequest, s.requestErase},

		{"GET /orders", access.OrderRead, s.orders},
		{"GET /orders/{id}", access.OrderRead, s.order},
		{"POST /orders/{id}/approve", access.OrderApprove, s.approve},
		{"POST /orders/{id}/refuse", access.OrderApprove, s.refuse},
		{"POST /orders/{id}/cancel", access.OrderRequest, s.cancel}, // one's own, or as an administrator, says the service
	}
}
