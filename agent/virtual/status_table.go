package virtual

// statusRule says which devices have a status item.
type statusRule struct {
	ios, mac     string
	onIOS, onMac enrolledBy
}

const (
	byAny    = bySupervised | byDevice | byUser
	byNoUser = bySupervised | byDevice
)

// statusRules are the status items that this device has. It is never changed.
// Source: github.com/apple/device-management, declarative/status.
var statusRules = map[string]statusRule{
	"app.managed.list":                                   {"17.2", never, byAny, 0},
	"device.identifier.serial-number":                    {"16.0", "13.0", byNoUser, bySupervised},
	"device.identifier.udid":                             {"16.0", "13.0", byNoUser, bySupervised},
	"device.model.family":                                {"15.0", "13.0", byAny, byAny},
	"device.model.identifier":                            {"15.0", "13.0", byAny, byAny},
	"device.model.marketing-name":                        {"15.0", "13.0", byAny, byAny},
	"device.model.number":                                {"17.0", "14.0", byAny, byAny},
	"device.operating-system.build-version":              {"15.0", "13.0", byAny, byAny},
	"device.operating-system.family":                     {"15.0", "13.0", byAny, byAny},
	"device.operating-system.marketing-name":             {"15.0", "13.0", byAny, byAny},
	"device.operating-system.supplemental.build-version": {"16.1", "13.0", byAny, byAny},
	"device.operating-system.supplemental.extra-version": {"16.1", "13.0", byAny, byAny},
	"device.operating-system.version":                    {"15.0", "13.0", byAny, byAny},
	"device.power.battery-health":                        {"17.0", "14.4", byNoUser, bySupervised},
	"diskmanagement.filevault.enabled":                   {never, "14.0", 0, bySupervised},
	"management.client-capabilities":                     {"15.0", "13.0", byAny, byAny},
	"management.declarations":                            {"15.0", "13.0", byAny, byAny},
	"mdm.app":                                            {"16.0", never, byAny, 0},
	"passcode.is-compliant":                              {"16.0", never, byAny, 0},
	"passcode.is-present":                                {"16.0", never, byAny, 0},
	"security.certificate.list":                          {"17.0", "14.0", byAny, byAny},
	"softwareupdate.failure-reason":                      {"17.0", "14.0", byNoUser, bySupervised},
	"softwareupdate.install-reason":                      {"17.0", "14.0", byNoUser, bySupervised},
	"softwareupdate.install-state":                       {"17.0", "14.0", byNoUser, bySupervised},
	"softwareupdate.pending-version":                     {"17.0", "14.0", byNoUser, bySupervised},
}
