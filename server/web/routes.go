package web

import (
	"slices"
	"strings"

	"github.com/wardmdm/ward/server/access"
)

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
	return slices.Concat(s.entryRoutes(), s.deviceRoutes(), s.orderRoutes(),
		s.fleetRoutes(), s.ruleRoutes(), s.operateRoutes(), s.evidenceRoutes(), s.accountRoutes())
}

// entryRoutes are those of visitors and sessions.
func (s *Server) entryRoutes() []route {
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

		{"GET /lost", anyone, s.lostCodeForm},
		{"POST /lost", anyone, s.lostByCode},
		{"GET /recovery/{secret}", anyone, s.recoveryForm},
		{"POST /recovery/{secret}", anyone, s.recoveryCode},
	}
}

// deviceRoutes are those of devices and of what is done when they are lost.
func (s *Server) deviceRoutes() []route {
	return []route{
		{"GET /devices", access.DeviceRead, s.devices},
		{"GET /devices/{id}", access.DeviceRead, s.device},
		{"GET /devices/{id}/lost", access.DeviceLost, s.lostForm},
		{"POST /devices/{id}/lost", access.DeviceLost, s.reportLost},
		{"GET /devices/{id}/found", access.DeviceLost, s.foundForm},
		{"POST /devices/{id}/found", access.DeviceLost, s.found},
		{"GET /devices/{id}/lock", access.DeviceLock, s.lockForm},
		{"POST /devices/{id}/lock", access.DeviceLock, s.lock},
		{"GET /devices/{id}/restart", access.DeviceLock, s.restartForm},
		{"POST /devices/{id}/restart", access.DeviceLock, s.restart},
		{"POST /devices/{id}/refresh", access.DeviceRefresh, s.refresh},
		{"POST /devices/{id}/recovery-code", access.DeviceLost, s.makeCode},
		{"POST /devices/{id}/pin", access.PINRead, s.macPIN},

		{"GET /lost/new", access.DeviceLost, s.manyForm},
		{"POST /lost/new", access.DeviceLost, s.reportMany},
		{"GET /cases", access.DeviceRead, s.cases},
		{"GET /cases/{id}", access.DeviceRead, s.theCase},
		{"GET /cases/{id}/file/{part}", access.DeviceRead, s.caseFile},
		{"POST /cases/{id}/found", access.DeviceLost, s.caseFound},
		{"POST /cases/{id}/close", access.DeviceLost, s.caseClose},
		{"POST /cases/{id}/sound", access.DeviceLost, s.caseSound},
		{"POST /cases/{id}/restart", access.DeviceLock, s.caseRestart},
		{"POST /cases/{id}/locate", access.LocationRead, s.caseLocate},
		{"POST /cases/{id}/location", access.LocationRead, s.caseLocation},
		{"POST /cases/{id}/decide", access.CaseDecide, s.decide},
		{"POST /cases/{id}/aware", access.CaseDecide, s.setAware},
		{"GET /drills", access.DeviceRead, s.drills},
		{"POST /drills", access.DeviceLost, s.startDrill},
	}
}

// orderRoutes are those of what takes two people, and of who is told.
func (s *Server) orderRoutes() []route {
	return []route{
		{"GET /orders", access.OrderRead, s.orders},
		{"GET /orders/new", access.OrderRequest, s.askOrder},
		{"POST /orders/new", access.OrderRequest, s.requestOrder},
		{"GET /orders/{id}", access.OrderRead, s.order},
		{"GET /orders/{id}/file/{part}", access.OrderRead, s.orderFile},
		{"POST /orders/{id}/sign", access.OrderApprove, s.sign},
		{"POST /orders/{id}/approve", access.OrderApprove, s.approve},
		{"POST /orders/{id}/refuse", access.OrderRefuse, s.refuse},
		{"POST /orders/{id}/cancel", access.OrderRequest, s.cancel}, // one's own, or as an administrator, says the service
		{"GET /brake", access.OrderRead, s.brake},
		{"GET /brake/cancel-all", access.OrderCancelAll, s.cancelAllForm},
		{"POST /brake/cancel-all", access.OrderCancelAll, s.cancelAll},

		{"GET /approvers", access.ApproverRead, s.approvers},
		{"POST /approvers", access.ApproverInvite, s.inviteApprover},
		{"POST /approvers/{id}/vouch", access.ApproverRead, s.vouch}, // by one who stands, says the service
		{"POST /approvers/{id}/end", access.ApproverInvite, s.endApprover},
		{"GET /approver/{secret}", signedIn, s.registerForm}, // for the one person whom the link invites, says the service
		{"POST /approver/{secret}", signedIn, s.register},
		{"GET /notifications", access.NotifyRead, s.notifications},
		{"POST /notifications/test", access.NotifyWrite, s.testNotice},
		{"POST /notifications/{id}/again", access.NotifyWrite, s.noticeAgain},
	}
}

// maxBody bounds the body of a route's requests, in bytes.
func (r route) maxBody() int64 {
	switch r.pattern {
	case "POST /orders/new":
		return maxAsk
	case "POST /policies/plan", "POST /policies/publish":
		return maxPolicyForm
	}
	if strings.HasPrefix(r.pattern, "POST /enrolment/") { // tables of staff, and the links that they made
		return maxImport
	}
	return maxForm
}
