import com.microsoft.signalr.HubConnection;
import com.microsoft.signalr.HubConnectionBuilder;
import com.microsoft.signalr.TransportEnum;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The basic story with the stock Java client: invoke, event, stream, group, on each transport that it knows. */
public final class Story {
    private static final long WAIT_SECONDS = 15;
    private static int passed;
    private static int failed;

    public static void main(String[] arguments) {
        if (arguments.length != 2) {
            System.err.println("usage: Story HUB_URL EVENT");
            System.exit(2);
        }
        for (TransportEnum transport : List.of(TransportEnum.WEBSOCKETS, TransportEnum.LONG_POLLING)) {
            tell(arguments[0], arguments[1], transport);
        }
        System.out.printf("%d passed, %d failed, 0 skipped%n", passed, failed);
        System.exit(failed == 0 && passed > 0 ? 0 : 1);
    }

    private static void tell(String url, String event, TransportEnum transport) {
        HubConnection connection = HubConnectionBuilder.create(url).withTransport(transport).build();
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        connection.on(event, events::add, String.class);
        String group = "java-" + transport;
        check(transport, "connect", () -> {
            if (!connection.start().blockingAwait(WAIT_SECONDS, TimeUnit.SECONDS)) {
                throw new AssertionError("not started in time");
            }
        });
        check(transport, "invoke returns what was sent", () -> equal("grüße ☃", echo(connection, "grüße ☃")));
        check(transport, "a member of a group gets its events, in order", () -> {
            call(connection, "JoinGroup", group);
            for (int number = 0; number < 5; number++) {
                call(connection, "SendToGroup", group, "news " + number);
            }
            for (int number = 0; number < 5; number++) {
                equal("news " + number, events.poll(WAIT_SECONDS, TimeUnit.SECONDS));
            }
        });
        check(transport, "who left gets nothing", () -> {
            call(connection, "LeaveGroup", group);
            call(connection, "SendToGroup", group, "too late");
            echo(connection, "whatever was on the way has arrived");
            equal(null, events.poll());
        });
        check(transport, "a stream brings every item", () -> equal(List.of(0, 1, 2, 3, 4),
            connection.stream(Integer.class, "Counter", 5, 1).timeout(WAIT_SECONDS, TimeUnit.SECONDS)
                .toList().blockingGet()));
        check(transport, "stop", () -> {
            if (!connection.stop().blockingAwait(WAIT_SECONDS, TimeUnit.SECONDS)) {
                throw new AssertionError("not stopped in time");
            }
        });
    }

    private static String echo(HubConnection connection, String text) {
        return connection.invoke(String.class, "Echo", text).timeout(WAIT_SECONDS, TimeUnit.SECONDS).blockingGet();
    }

    private static void call(HubConnection connection, String method, Object... arguments) {
        if (!connection.invoke(method, arguments).blockingAwait(WAIT_SECONDS, TimeUnit.SECONDS)) {
            throw new AssertionError(method + " was not answered in time");
        }
    }

    private static void equal(Object expected, Object actual) {
        if (expected == null ? actual != null : !expected.equals(actual)) {
            throw new AssertionError("expected " + expected + ", got " + actual);
        }
    }

    private static void check(TransportEnum transport, String promise, Step step) {
        try {
            step.run();
            passed++;
            System.out.println("ok    java " + transport + ": " + promise);
        } catch (Throwable problem) {
            failed++;
            System.out.println("FAIL  java " + transport + ": " + promise + ": " + problem);
        }
    }

    private interface Step {
        void run() throws Exception;
    }
}
