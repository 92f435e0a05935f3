//! Passes libvirt's events of one connection to a function. One of the two files with `unsafe`; see `raw.rs`.
//!
//! The callbacks run in the thread of libvirt's event loop (and sometimes in a thread that is inside a libvirt call), so
//! they only report what has changed. The receiver then asks libvirt for the current state.

use std::ffi::{c_char, c_int, c_void};
use std::mem;
use std::sync::Arc;

use virt::connect::Connect;
use virt::error::Error;
use virt::sys;

use super::error::is_unsupported;

/// Something has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The domain with this UUID, or its agent, started, stopped or changed.
    Guest([u8; 16]),
    /// Networks started, stopped or changed.
    Networks,
    /// The connection was closed; holds the reason.
    Closed(&'static str),
}

/// Receives the events. It must not call libvirt, block or panic.
pub(super) type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// A subscription to the events of a connection, until it is dropped.
pub(super) struct Subscription {
    connect: Connect,
    domain_callbacks: Vec<c_int>,
    network_callbacks: Vec<c_int>,
    /// The sink of the close callback, or null.
    closing: *mut c_void,
    /// Whether the driver reports guests that start and stop.
    pub(super) has_guest_events: bool,
}

/// virConnectDomainEventGenericCallback and virConnectNetworkEventGenericCallback.
type DomainCallback = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);
type NetworkCallback = unsafe extern "C" fn(sys::virConnectPtr, sys::virNetworkPtr, *mut c_void);

/// Older versions of libvirt reject this id.
const NIC_MAC_CHANGE: sys::virDomainEventID = sys::VIR_DOMAIN_EVENT_ID_NIC_MAC_CHANGE;

impl Subscription {
    /// Registers for all events that can change the guests' names or addresses, except those that the driver or an older
    /// libvirt doesn't support.
    ///
    /// # Errors
    /// libvirt's error if a registration fails for any other reason.
    pub(super) fn new(connect: &Connect, sink: &Sink) -> Result<Self, Error> {
        let mut new = Self {
            connect: connect.clone(),
            domain_callbacks: Vec::new(),
            network_callbacks: Vec::new(),
            closing: std::ptr::null_mut(),
            has_guest_events: false,
        };
        new.watch_closing(sink)?;
        // SAFETY: libvirt calls each with the arguments of its event's own callback type, which
        // the function has; see libvirt-domain.h and libvirt-network.h.
        let lifecycle =
            unsafe { mem::transmute::<LifecycleCallback, DomainCallback>(domain_lifecycle) };
        new.has_guest_events =
            new.watch_domains(sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, sink)?;
        // SAFETY: as above.
        let agent = unsafe { mem::transmute::<AgentCallback, DomainCallback>(agent_lifecycle) };
        new.watch_domains(sys::VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, agent, sink)?;
        // SAFETY: as above.
        let device = unsafe { mem::transmute::<DeviceCallback, DomainCallback>(device_changed) };
        new.watch_domains(sys::VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, device, sink)?;
        new.watch_domains(sys::VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, device, sink)?;
        // SAFETY: as above.
        let metadata =
            unsafe { mem::transmute::<MetadataCallback, DomainCallback>(metadata_changed) };
        new.watch_domains(sys::VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, metadata, sink)?;
        // SAFETY: as above.
        let mac = unsafe { mem::transmute::<MacCallback, DomainCallback>(mac_changed) };
        new.watch_domains(NIC_MAC_CHANGE, mac, sink)?;

        // SAFETY: as above, for libvirt-network.h.
        let network = unsafe {
            mem::transmute::<NetworkLifecycleCallback, NetworkCallback>(network_lifecycle)
        };
        new.watch_networks(sys::VIR_NETWORK_EVENT_ID_LIFECYCLE, network, sink)?;
        // SAFETY: as above.
        let metadata = unsafe {
            mem::transmute::<NetworkMetadataCallback, NetworkCallback>(network_metadata_changed)
        };
        new.watch_networks(sys::VIR_NETWORK_EVENT_ID_METADATA_CHANGE, metadata, sink)?;
        Ok(new)
    }

    /// Drivers that run inside this process accept this callback, but never call or release it. So we keep ownership of the
    /// sink, and give libvirt no function to release it.
    fn watch_closing(&mut self, sink: &Sink) -> Result<(), Error> {
        let opaque = give(sink);
        // SAFETY: used within this function, where the connection lives.
        let connect = unsafe { self.connect.as_ptr() };
        // SAFETY: the connection is valid; `opaque` is a sink that lives until the callback is unregistered.
        let status =
            unsafe { sys::virConnectRegisterCloseCallback(connect, Some(closed), opaque, None) };
        if registered(status, opaque)?.is_some() {
            self.closing = opaque;
        }
        Ok(())
    }

    fn watch_domains(
        &mut self,
        event: sys::virDomainEventID,
        callback: DomainCallback,
        sink: &Sink,
    ) -> Result<bool, Error> {
        let Ok(event) = c_int::try_from(event) else { return Ok(false) };
        let opaque = give(sink);
        // SAFETY: used within this function, where the connection lives.
        let connect = unsafe { self.connect.as_ptr() };
        // SAFETY: the connection is valid; a null domain means all domains; `opaque` is a sink that `release` frees;
        // `callback` has the event's type.
        let status = unsafe {
            sys::virConnectDomainEventRegisterAny(
                connect,
                std::ptr::null_mut(),
                event,
                Some(callback),
                opaque,
                Some(release),
            )
        };
        let id = registered(status, opaque)?;
        self.domain_callbacks.extend(id);
        Ok(id.is_some())
    }

    fn watch_networks(
        &mut self,
        event: sys::virNetworkEventID,
        callback: NetworkCallback,
        sink: &Sink,
    ) -> Result<(), Error> {
        let Ok(event) = c_int::try_from(event) else { return Ok(()) };
        let opaque = give(sink);
        // SAFETY: used within this function, where the connection lives.
        let connect = unsafe { self.connect.as_ptr() };
        // SAFETY: as for domains.
        let status = unsafe {
            sys::virConnectNetworkEventRegisterAny(
                connect,
                std::ptr::null_mut(),
                event,
                Some(callback),
                opaque,
                Some(release),
            )
        };
        self.network_callbacks.extend(registered(status, opaque)?);
        Ok(())
    }
}

impl Drop for Subscription {
    /// Unregisters the callbacks. On a closed connection libvirt returns an error, since it can't reach the server, but still
    /// unregisters them on this side. The server has dropped them along with the connection.
    fn drop(&mut self) {
        // SAFETY: used within this function, where the connection lives.
        let connect = unsafe { self.connect.as_ptr() };
        for &id in &self.domain_callbacks {
            // SAFETY: the connection is valid, and the id is one of its own.
            unsafe { sys::virConnectDomainEventDeregisterAny(connect, id) };
        }
        for &id in &self.network_callbacks {
            // SAFETY: as above.
            unsafe { sys::virConnectNetworkEventDeregisterAny(connect, id) };
        }
        if !self.closing.is_null() {
            // SAFETY: the connection is valid, and this is the function that was registered. libvirt calls it
            // at most once, under a lock that this waits for.
            unsafe { sys::virConnectUnregisterCloseCallback(connect, Some(closed)) };
            // SAFETY: it comes from `give`, and it is no longer used.
            unsafe { release(self.closing) };
        }
    }
}

/// The id that a registration returned; `None` if the event isn't supported. Releases the sink if the registration failed.
fn registered(status: c_int, opaque: *mut c_void) -> Result<Option<c_int>, Error> {
    if status >= 0 {
        return Ok(Some(status));
    }
    let error = Error::last_error();
    // SAFETY: when a registration fails, libvirt doesn't keep `opaque` and never calls `release`.
    unsafe { release(opaque) };
    // To a libvirt that doesn't know the event, its id is an invalid argument.
    let unknown = super::error::is(&error, virt::error::ErrorNumber::InvalidArg);
    if is_unsupported(&error) || unknown { Ok(None) } else { Err(error) }
}

/// Hands a reference to the sink to libvirt; [`release`] is its counterpart.
fn give(sink: &Sink) -> *mut c_void {
    Box::into_raw(Box::new(Arc::clone(sink))).cast()
}

/// Called once, by libvirt, when it no longer needs the sink.
unsafe extern "C" fn release(opaque: *mut c_void) {
    // SAFETY: it comes from `give`, and libvirt passes it here only once.
    drop(unsafe { Box::from_raw(opaque.cast::<Sink>()) });
}

/// Passes an event to the sink that `opaque` points to.
///
/// # Safety
/// `opaque` comes from [`give`] and was not released.
unsafe fn send(opaque: *mut c_void, event: Event) {
    // SAFETY: the caller guarantees it.
    if let Some(sink) = unsafe { opaque.cast::<Sink>().as_ref() } {
        sink(event);
    }
}

/// Passes a domain's event to the sink.
///
/// # Safety
/// As for [`send`], and `domain` is valid.
unsafe fn send_guest(domain: sys::virDomainPtr, opaque: *mut c_void) {
    let mut uuid = [0; sys::VIR_UUID_BUFLEN as usize];
    // SAFETY: the domain is valid during the callback, and the array has the length that libvirt asks for.
    if unsafe { sys::virDomainGetUUID(domain, uuid.as_mut_ptr()) } == 0 {
        // SAFETY: the caller guarantees it.
        unsafe { send(opaque, Event::Guest(uuid)) };
    }
}

unsafe extern "C" fn closed(_: sys::virConnectPtr, reason: c_int, opaque: *mut c_void) {
    let why = match sys::virConnectCloseReason::try_from(reason) {
        Ok(sys::VIR_CONNECT_CLOSE_REASON_EOF) => "the other side closed the connection",
        Ok(sys::VIR_CONNECT_CLOSE_REASON_KEEPALIVE) => {
            "the other side did not answer keepalive messages"
        }
        Ok(sys::VIR_CONNECT_CLOSE_REASON_CLIENT) => "the connection was closed on this side",
        _ => "an I/O error closed the connection",
    };
    // SAFETY: libvirt passes the pointer that was registered.
    unsafe { send(opaque, Event::Closed(why)) };
}

type LifecycleCallback =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, c_int, *mut c_void) -> c_int;

unsafe extern "C" fn domain_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: libvirt passes the pointer that was registered, and a valid domain.
    unsafe { send_guest(domain, opaque) };
    0
}

type AgentCallback =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, c_int, *mut c_void);

unsafe extern "C" fn agent_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _state: c_int,
    _reason: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes the pointer that was registered, and a valid domain.
    unsafe { send_guest(domain, opaque) };
}

type DeviceCallback =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *const c_char, *mut c_void);

unsafe extern "C" fn device_changed(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _alias: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes the pointer that was registered, and a valid domain.
    unsafe { send_guest(domain, opaque) };
}

type MetadataCallback =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, *const c_char, *mut c_void);

unsafe extern "C" fn metadata_changed(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _kind: c_int,
    _namespace: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes the pointer that was registered, and a valid domain.
    unsafe { send_guest(domain, opaque) };
}

type MacCallback = unsafe extern "C" fn(
    sys::virConnectPtr,
    sys::virDomainPtr,
    *const c_char,
    *const c_char,
    *const c_char,
    *mut c_void,
);

unsafe extern "C" fn mac_changed(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _alias: *const c_char,
    _old: *const c_char,
    _new: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes the pointer that was registered, and a valid domain.
    unsafe { send_guest(domain, opaque) };
}

type NetworkLifecycleCallback =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virNetworkPtr, c_int, c_int, *mut c_void);

unsafe extern "C" fn network_lifecycle(
    _: sys::virConnectPtr,
    _: sys::virNetworkPtr,
    _event: c_int,
    _detail: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes the pointer that was registered.
    unsafe { send(opaque, Event::Networks) };
}

type NetworkMetadataCallback =
    unsafe extern "C" fn(sys::virConnectPtr, sys::virNetworkPtr, c_int, *const c_char, *mut c_void);

unsafe extern "C" fn network_metadata_changed(
    _: sys::virConnectPtr,
    _: sys::virNetworkPtr,
    _kind: c_int,
    _namespace: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes the pointer that was registered.
    unsafe { send(opaque, Event::Networks) };
}
