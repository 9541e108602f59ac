// The benchmark's rule on Kafka Streams: exactly once, an in-memory store, one thread.
// Arguments: file with the properties of the connection, topic in, topic out, application id, folder of the state, all|changed (which states are put).
import java.io.IOException;
import java.io.Reader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessageUnpacker;
import org.msgpack.core.buffer.ArrayBufferInput;

public class StreamsPeer {
    static final double[] UP = {20, 30, 40, 50};
    static final double[] DOWN = {18, 27, 36, 45};
    static final int READINGS = 3;
    static final long FRESH = 600_000_000L; // microseconds
    static final int LATCHES = 4;
    static final int ENDS_AT = 1 + LATCHES; // a state: a bit a latch, a count a latch, the last reading's end

    static class Ladder implements Processor<String, byte[], String, byte[]> {
        final boolean putAll;
        final ArrayBufferInput input = new ArrayBufferInput(new byte[0]);
        final MessageUnpacker unpacker = MessagePack.newDefaultUnpacker(input);
        KeyValueStore<String, byte[]> store;
        ProcessorContext<String, byte[]> context;
        boolean begun;

        Ladder(boolean putAll) {
            this.putAll = putAll;
        }

        @Override
        public void init(ProcessorContext<String, byte[]> context) {
            this.context = context;
            this.store = context.getStateStore("latches");
        }

        @Override
        public void process(Record<String, byte[]> record) {
            if (!begun) {
                begun = true;
                System.out.println("FIRST " + System.currentTimeMillis() / 1000.0);
            }
            try {
                observe(record);
            } catch (IOException error) {
                throw new RuntimeException(error);
            }
        }

        void observe(Record<String, byte[]> record) throws IOException {
            input.reset(record.value());
            unpacker.reset(input);
            unpacker.unpackArrayHeader();
            if (!unpacker.unpackString().equals("o")) {
                return; // a tick, a sensor, an activation: this peer's rule is in its code
            }
            String id = unpacker.unpackString();
            unpacker.skipValue(2);
            String sensor = unpacker.unpackString();
            String street = unpacker.unpackString();
            String domain = unpacker.unpackString();
            unpacker.skipValue();
            long end = unpacker.unpackLong();
            unpacker.skipValue();
            int metrics = unpacker.unpackMapHeader();
            for (int at = 0; at < metrics; at++) {
                String metric = unpacker.unpackString();
                decide(record, id, sensor, street, domain, metric, end, unpacker.unpackDouble());
            }
        }

        void decide(Record<String, byte[]> record, String id, String sensor, String street, String domain, String metric, long end, double value) {
            byte[] before = store.get(sensor);
            byte[] state = before == null ? new byte[ENDS_AT + 8] : before.clone();
            boolean fresh = before != null && end - last(state) <= FRESH;
            int on = state[0], from = tier(on);
            boolean running = false;
            for (int latch = 0; latch < LATCHES; latch++) {
                boolean isOn = (on >> latch & 1) == 1;
                int count = 0;
                if (isOn ? value <= DOWN[latch] : value >= UP[latch]) {
                    count = (fresh ? state[1 + latch] : 0) + 1;
                    if (isOn || count >= READINGS) {
                        on ^= 1 << latch;
                        count = 0;
                    }
                }
                state[1 + latch] = (byte) count;
                running |= count > 0;
            }
            state[0] = (byte) on;
            if (putAll || running) {
                for (int at = 0; at < 8; at++) {
                    state[ENDS_AT + at] = (byte) (end >> 8 * at);
                }
            }
            if (putAll || before == null || !Arrays.equals(before, state)) {
                store.put(sensor, state);
            }
            int to = tier(on);
            if (to != from) {
                String warning = "{\"sensor\":\"" + sensor + "\",\"domain\":\"" + domain + "\",\"metric\":\"" + metric + "\",\"from\":" + from + ",\"to\":" + to
                    + ",\"value\":" + value + ",\"end\":" + end + ",\"street\":\"" + street + "\",\"cause\":\"" + id + "\"}";
                context.forward(record.withKey(sensor).withValue(warning.getBytes(StandardCharsets.UTF_8)));
            }
        }

        static long last(byte[] state) {
            long end = 0;
            for (int at = 7; at >= 0; at--) {
                end = end << 8 | state[ENDS_AT + at] & 0xff;
            }
            return end;
        }

        static int tier(int on) {
            return on == 0 ? 0 : 32 - Integer.numberOfLeadingZeros(on);
        }
    }

    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        try (Reader connection = Files.newBufferedReader(Path.of(arguments[0]))) {
            properties.load(connection);
        }
        properties.put("application.id", arguments[3]);
        properties.put("state.dir", Path.of(arguments[4]).toString());
        properties.put("processing.guarantee", "exactly_once_v2");
        properties.put("num.stream.threads", 1);
        properties.put("commit.interval.ms", 100);
        properties.put("statestore.cache.max.bytes", 10 << 20);
        properties.put("auto.offset.reset", "earliest");
        properties.put("producer.linger.ms", 5);
        properties.put("replication.factor", 1);
        properties.put("default.key.serde", Serdes.StringSerde.class);
        properties.put("default.value.serde", Serdes.ByteArraySerde.class);
        boolean putAll = arguments[5].equals("all");
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(
            Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore("latches"), Serdes.String(), Serdes.ByteArray()).withCachingEnabled());
        builder.<String, byte[]>stream(arguments[1]).process(() -> new Ladder(putAll), "latches").to(arguments[2]);
        KafkaStreams streams = new KafkaStreams(builder.build(), properties);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
        Thread.currentThread().join();
    }
}
