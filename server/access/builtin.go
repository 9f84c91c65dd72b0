package access

import (
	"slices"

	"github.com/wardmdm/ward"
)

// Role is a role as people see it: one that comes with Ward, or one that somebody made.
type Role struct {
	ID          ward.Role
	Name        string
	Description string // one line
	Permissions []Permission
	BuiltIn     bool // comes with Ward and can't be changed
}

// readings are what every role but that of staff may see.
var readings = []Permission{DeviceRead, OrderRead, PolicyRead, InviteRead, RegisterRead, MineRead}

// reviews are what those read who look after how Ward is used.
var reviews = []Permission{
	ApproverRead, NotifyRead, AuditRead, AuditExport, PersonRead, SessionRead, CommandRead, CARead, APNsRead, MetricsRead, HealthRead, EvidenceRead, ExportMake,
}

// builtIn are the roles that come with Ward. No role holds both the asking and the
// approving of orders, and nobody who hands out roles holds the approving.
var builtIn = []Role{
	{
		ID: ward.RoleAdmin, Name: "Administrator", Description: "People, roles, settings, devices and policy: everything but approving orders and what is decided on lost patient data.",
		Permissions: slices.Concat(readings, reviews, []Permission{
			DeviceWrite, DeviceRefresh, DeviceLock, DeviceLost, InviteCreate, PolicyPublish, ExceptionWrite, OrderRequest, OrderCancel, OrderCancelAll, ApproverInvite, PINRead, NotifyWrite,
			PersonWrite, PersonErase, RoleWrite, SessionWrite, SettingsWrite, TemplateWrite, CommandEnqueue, CommandCancel, CAWrite, APNsWrite, BackupWrite, ViewWrite, SeedWrite,
		}),
	},
	{
		ID: ward.RoleSupport, Name: "Help desk", Description: "Sees devices, helps people enrol, locks what is lost and finds it; asks for orders and approves none.",
		Permissions: slices.Concat(readings, []Permission{
			DeviceWrite, DeviceRefresh, DeviceLock, DeviceLost, LocationRead, PINRead, InviteCreate, OrderRequest, CommandRead, ExportMake, ViewWrite,
		}),
	},
	{
		ID: ward.RoleDeviceAdmin, Name: "Device administrator", Description: "Devices, enrolment, policy and certificates; asks for orders and approves none.",
		Permissions: slices.Concat(readings, []Permission{
			DeviceWrite, DeviceRefresh, DeviceLock, DeviceLost, PINRead, InviteCreate, PolicyPublish, OrderRequest, ApproverRead, NotifyRead, CommandRead, CommandCancel,
			CARead, CAWrite, APNsRead, HealthRead, TemplateWrite, ExportMake, ViewWrite,
		}),
	},
	{
		ID: ward.RoleGovern, Name: "Information-governance lead", Description: "Decides which apps are approved and why, and proves the past: register, exceptions, policy and evidence; sends no command.",
		Permissions: slices.Concat(readings, reviews, []Permission{PolicyPublish, ExceptionWrite, CaseDecide, PersonErase, ViewWrite}),
	},
	{
		ID: ward.RoleApprover, Name: "Approver", Description: "Says yes or no to the orders that others ask for.",
		Permissions: slices.Concat(readings, []Permission{OrderApprove, OrderRefuse, ApproverRead, NotifyRead, ViewWrite}),
	},
	{
		ID: ward.RoleAuditor, Name: "Auditor", Description: "Reads everything and changes nothing.",
		Permissions: slices.Concat(readings, reviews),
	},
	{
		ID: ward.RoleOperator, Name: "Operator", Description: "Keeps the server running: health, certificates, pushes, backups, notifications and metrics.",
		Permissions: slices.Concat(readings, []Permission{
			HealthRead, MetricsRead, CARead, CAWrite, APNsRead, APNsWrite, BackupWrite, NotifyRead, NotifyWrite, ViewWrite,
		}),
	},
	{
		ID: ward.RoleStaff, Name: "Member of staff", Description: "Sees their own devices and reports them lost.",
		Permissions: []Permission{MineRead},
	},
}

// BuiltIn lists the roles that come with Ward, in the order in which they are shown.
func BuiltIn() []Role {
	out := slices.Clone(builtIn)
	for i := range out {
		out[i].BuiltIn, out[i].Permissions = true, slices.Clone(out[i].Permissions)
	}
	return out
}

// granted returns what a role that comes with Ward may do, nothing for any other.
func granted(r ward.Role) []Permission {
	for i := range builtIn {
		if builtIn[i].ID == r {
			return builtIn[i].Permissions
		}
	}
	return nil
}

// Asks reports whether p is the asking side of an order, and Decides whether it is the
// other one. No role holds both.
func (p Permission) Asks() bool { return p == OrderRequest }

// Decides reports whether p is the deciding side of an order.
func (p Permission) Decides() bool { return p == OrderApprove || p == OrderRefuse }

// RolesWith lists the roles that come with Ward and hold p.
func RolesWith(p Permission) []ward.Role {
	var out []ward.Role
	for i := range builtIn {
		if slices.Contains(builtIn[i].Permissions, p) {
			out = append(out, builtIn[i].ID)
		}
	}
	return out
}
